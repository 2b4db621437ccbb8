// A run on a mesh held against the same run on one rank, and what rounding explains between the two.
#pragma once

#include <string>
#include <vector>

#include "trainer/verify_run.h"

namespace hearth {

/// What one rank found, whole: the oracle. Empty on all but the first rank of the job.
struct VerifyOracle {
  std::array<double, verify_numbers> numbers{};
  VerifyWeights gradients, second_gradients;
  double carried = 0;  // see VerifyResult
  VerifyWeights weights;
};
/// REQUIRES: of a run on one rank.
VerifyOracle oracle_of(const VerifyResult& alone);
/// Where a run on many ranks went, on every rank of `world`, the job. `mine`: of a run on some of its ranks, each of them
/// in one such run; the one that is meant has those who say `of_it`. Collective.
VerifyPath path_of(const VerifyResult& mine, bool of_it, Communicator& world);

/// Relative errors that are allowed: 0 means equal to the bit.
struct VerifyBounds {
  double loss = 0;
  double gradient = 0;  // of a whole tensor, in its L2 norm; the global norm alike
  bool to_the_bit = true;
  std::string why;  // in words
};
/// Without a tensor and a context axis, with fixed sums, and on processors of one kind, everything is equal to the bit.
/// Else with u = 2^-24, n terms of the longest sum and d = 12 L + 4 tensors on the way of the residual: losses 8 u sqrt(n), gradients
/// 8 u sqrt(3 n d). In bf16, where sums stay f32, with v = 2^-9: 8 v and 8 v sqrt(3 d). Twice what docs/numerics.md
/// gives one run against the truth, since here both are rounded. They hold for both steps where the oracle followed the
/// path of the run that is held against it.
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

/// Every rank compares what it has with the oracle (of the same path, where no bits are promised), which the first rank
/// hands out; the same checks on every rank. Collective over `world`, the job; `mine` may be of a run on some of its ranks, each of them in one such run.
std::vector<VerifyCheck> verify_compare(const VerifyOracle& oracle, const VerifyResult& mine,
                                        const VerifyBounds& bounds, Dtype compute, Communicator& world);

}  // namespace hearth
