// Looking for numbers that are none. Host tensors only; used when something is already known to be wrong.
#pragma once

#include "base/tensor.h"

namespace hearth {

/// Whether every element of a float tensor is finite.
bool all_finite(In tensor);

}  // namespace hearth
