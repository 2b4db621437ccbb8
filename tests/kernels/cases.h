// One small struct for each op and shape: what goes in, what comes out, how exact it must be. The same struct is run
// against the truth, between guard zones, with poisoned outputs and with different numbers of threads.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/ops.h"

namespace hearth::test {

struct Arg {
  /// real: the dtype under test; wide: f32, f64 in the truth; single: always f32; precise: f64; integer: i32.
  enum class Kind { real, wide, single, precise, integer };
  enum class Use { input, over, add };

  Kind kind = Kind::real;
  Use use = Use::input;
  Dims dims;
  std::vector<double> values;  // of inputs and added-to outputs
  /// Bound on the sum of the magnitudes of the terms that make up an element of an output. The allowed error is
  ///   roundoff(dtype) * |truth|  +  8 * roundoff(f32) * (terms + |truth|):
  /// one rounding when stored, and rounding errors of the f32 sum, which stay far below (number of terms) * roundoff
  /// but for eight times a typical term's share; f64 results use roundoff(f64) in both places.
  double terms = 0;
  int over_arg = -1;  // this output lies over that input
};

struct Case {
  std::string op;
  std::string shape;
  std::vector<Arg> args;
  std::function<void(Ops&, const std::vector<Tensor>&)> call;
  bool large = false;  // large enough that three threads share it
};

/// Every op on awkward shapes.
std::vector<Case> cases();

// What cases() is made of.
std::vector<Case> elementwise_cases();
std::vector<Case> product_cases();
std::vector<Case> row_cases();
std::vector<Case> attention_cases();
std::vector<Case> head_cases();
std::vector<Case> flat_cases();

/// Uniform in [-size, size], a function of the name.
std::vector<double> noise(const std::string& name, const Dims& dims, double size = 1);
/// The same with magnitudes in [size / 4, size].
std::vector<double> away_from_zero(const std::string& name, const Dims& dims, double size = 1);

Arg input(Dims dims, std::vector<double> values, Arg::Kind kind = Arg::Kind::real);
Arg integers(std::vector<double> values);
Arg over(Dims dims, double terms, Arg::Kind kind = Arg::Kind::real);
/// An output added to what it holds.
Arg onto(const std::string& name, Dims dims, double terms, Arg::Kind kind = Arg::Kind::real);

}  // namespace hearth::test
