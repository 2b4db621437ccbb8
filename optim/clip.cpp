#include "optim/clip.h"

#include <algorithm>
#include <cmath>

namespace hearth {

void clip_control(double norm, double limit, Out control) {
  const auto values = control.span<float>();
  const bool finite = std::isfinite(norm);
  const double factor = limit > 0 && finite ? std::min(1.0, limit / (norm + 1e-6)) : 1.0;
  values[0] = static_cast<float>(factor);
  values[1] = finite ? 1.0F : 0.0F;
}

}  // namespace hearth
