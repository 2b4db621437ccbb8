// Learning rates by step.
#pragma once

#include <cstdint>

namespace hearth {

/// The rate that each step uses, as transformers' get_scheduler gives it (the rate of step k is that of its k-th call).
struct Schedule {
  enum class Kind { constant, linear, cosine, cosine_with_min_lr, warmup_stable_decay };

  Kind kind = Kind::cosine;
  double peak = 0;
  std::int64_t steps = 0;        // of the whole run
  std::int64_t warmup = 0;       // steps of linear warm-up from 0 (warmup_stable_decay: from the floor)
  double floor = 0;              // share of the peak: cosine_with_min_lr, warmup_stable_decay
  std::int64_t decay_steps = 0;  // warmup_stable_decay: steps of the last, cosine-shaped part

  /// step from 0. At and past `steps` it stays where the last step left it.
  double rate(std::int64_t step) const;
};

}  // namespace hearth
