// Whether the weights of a rank moved as AdamW says, given the moments that this rank kept.
#pragma once

#include <cstddef>

#include "kernels/ops.h"

namespace hearth {

/// One weight and its moments.
struct VerifyState {
  double weight = 0;
  double first_moment = 0;
  double second_moment = 0;
};

/// How far a step is from AdamW, and how far rounding can take it, both in the weight's unit.
struct VerifyMove {
  double off = 0;
  double allowed = 0;
};

/// The step `update.step` (with its rate) from `before` to `after`, in f64. The gradient is what the first moment took
/// up; a second moment that this gradient does not explain is replaced by the nearest one that it does, so that the
/// update is judged by the gradient alone. Neither a division by a small root nor epsilon makes `allowed` larger, as
/// the root is the rank's own. NaN where a state is.
VerifyMove verify_move(const VerifyState& before, const VerifyState& after, const AdamW& update);

/// What one rank keeps of one piece of a parameter, in sums of squares over its elements.
struct VerifyUpdate {
  std::size_t parameter = 0;
  bool counted = false;
  double off = 0;
  double allowed = 0;
  double change = 0;  // of the weights, in both steps
};

}  // namespace hearth
