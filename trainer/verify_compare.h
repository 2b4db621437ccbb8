// A run on a mesh held against the same run on one rank, and what rounding explains between the two.
#pragma once

#include <string>
#include <vector>

#include "trainer/verify_run.h"

namespace hearth {

/// What one rank found, whole: the oracle. Empty on all but the first rank of the job.
struct VerifyOracle {
  std::array<double, verify_numbers> numbers{};
  std::vector<std::vector<float>> gradients;  // by parameter
  std::vector<std::vector<float>> second_gradients;
  double carried = 0;  // see VerifyResult
  std::vector<std::vector<float>> weights;
};
/// REQUIRES: of a run on one rank.
VerifyOracle oracle_of(const VerifyResult& alone);

/// Relative errors that are allowed: 0 means equal to the bit.
struct VerifyBounds {
  double loss = 0;
  double loss_later = 0;  // after a step
  double gradient = 0;    // of a whole tensor, in its L2 norm; the global norm alike
  double norm_later = 0;
  bool to_the_bit = true;
  std::string why;  // in words
};
/// Without a tensor and a context axis, with fixed sums, and on processors of one kind, everything is equal to the bit. Else with u = 2^-24, n
/// terms of the longest sum and d = 12 L + 4 tensors on the way of the residual: losses 8 u sqrt(n), gradients
/// 8 u sqrt(3 n d). In bf16, where sums stay f32, with v = 2^-9: 8 v and 8 v sqrt(3 d). Twice what docs/numerics.md
/// gives one run against the truth, since here both are rounded. After a step four times as much, for what Adam made of
/// gradients that are rounding noise; not the norm in bf16: steps of verify_rate move weights by less than it rounds.
VerifyBounds verify_bounds(const VerifyPlan& plan, Dtype compute);

/// One line of the report.
struct VerifyCheck {
  Dtype dtype = Dtype::f32;
  std::string what;  // "gradient", "gradient after one step", "change of weights in two steps", or a VerifyNumber
  double error = 0;  // relative; infinity where a number is none
  double allowed = 0;
  std::string parameter;  // the one whose error is largest against what is allowed; empty for numbers of the step
  int rank = 0;           // of the job, whose own piece (or number) deviates most
  bool good() const { return error <= allowed; }
};

/// Every rank compares what it has with the oracle, which the first rank hands out; the same checks on every rank.
/// Collective over `world`, the job; `mine` may be of a run on some of its ranks, each of them in one such run.
std::vector<VerifyCheck> verify_compare(const VerifyOracle& oracle, const VerifyResult& mine,
                                        const VerifyBounds& bounds, Dtype compute, Communicator& world);

}  // namespace hearth
