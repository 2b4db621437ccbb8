// Clipping by global norm.
#pragma once

#include "base/tensor.h"

namespace hearth {

/// What Ops::adamw reads: control = [factor on the gradient, 1 to update or 0 to leave everything unchanged].
///   factor = min(1, limit / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_; 1 when limit is 0.
/// A norm that is NaN or infinite suppresses the update.
///   control: (2), f32, on the host
void clip_control(double norm, double limit, Out control);

}  // namespace hearth
