#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hearth {

namespace {

/// From 1 down to 0 as `progress` goes from 0 to 1, along half a cosine.
double half_cosine(double progress) {
  return std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * progress)));
}

double share(std::int64_t part, std::int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<std::int64_t>(1, whole));
}

}  // namespace

double Schedule::rate(std::int64_t step) const {
  if (step < warmup) {
    const double rising = share(step, warmup);
    return peak * (kind == Kind::warmup_stable_decay ? rising * (1 - floor) + floor : rising);
  }
  const double progress = std::min(1.0, share(step - warmup, steps - warmup));
  switch (kind) {
    case Kind::constant:
      return peak;
    case Kind::linear:
      return peak * (1 - progress);
    case Kind::cosine:
      return peak * half_cosine(progress);
    case Kind::cosine_with_min_lr:
      return peak * (half_cosine(progress) * (1 - floor) + floor);
    case Kind::warmup_stable_decay:
      break;
  }
  const std::int64_t decay_begins = steps - decay_steps;
  if (step < decay_begins) return peak;
  const double decayed = half_cosine(std::min(1.0, share(step - decay_begins, decay_steps)));
  return peak * (decayed * (1 - floor) + floor);
}

}  // namespace hearth
