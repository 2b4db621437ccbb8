// The dtype of what is kept beside rows: norms, log sums, losses.
#pragma once

#include "base/dtype.h"

namespace hearth {

/// f32, or f64 when the model itself is in f64 (the plain truth).
constexpr Dtype statistics_of(Dtype compute) {
  return compute == Dtype::f64 ? Dtype::f64 : Dtype::f32;
}

}  // namespace hearth
