// Clipping by global norm.
#pragma once

#include "base/tensor.h"

namespace hearth {

/// min(1, limit / (norm + 1e-6)); 1 when limit is 0 or the norm is no finite number.
double clip_factor(double norm, double limit);

/// What Ops::adamw reads: control = [factor on the gradient, 1 to update or 0 to leave everything unchanged].
///   factor = clip_factor(norm, limit), as torch.nn.utils.clip_grad_norm_.
/// A norm that is NaN or infinite suppresses the update.
///   control: (2), f32, on the host
void clip_control(double norm, double limit, Out control);

}  // namespace hearth
