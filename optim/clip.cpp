#include "optim/clip.h"

#include <algorithm>
#include <cmath>

namespace hearth {

double clip_factor(double norm, double limit) {
  return limit > 0 && std::isfinite(norm) ? std::min(1.0, limit / (norm + 1e-6)) : 1.0;
}

void clip_control(double norm, double limit, Out control) {
  const auto values = control.span<float>();
  values[0] = static_cast<float>(clip_factor(norm, limit));
  values[1] = std::isfinite(norm) ? 1.0F : 0.0F;
}

}  // namespace hearth
