#include "trainer/run_schedule.h"

#include <cmath>

namespace hearth {

Schedule schedule_of(const Recipe& recipe, std::int64_t steps) {
  const Recipe::Train& train = recipe.train;
  Schedule schedule;
  switch (train.lr_scheduler_type) {
    case Recipe::Scheduler::cosine:
      schedule.kind = Schedule::Kind::cosine;
      break;
    case Recipe::Scheduler::cosine_with_min_lr:
      schedule.kind = Schedule::Kind::cosine_with_min_lr;
      break;
    case Recipe::Scheduler::linear:
      schedule.kind = Schedule::Kind::linear;
      break;
    case Recipe::Scheduler::constant:
    case Recipe::Scheduler::constant_with_warmup:
      schedule.kind = Schedule::Kind::constant;
      break;
    case Recipe::Scheduler::warmup_stable_decay:
      schedule.kind = Schedule::Kind::warmup_stable_decay;
      break;
  }
  schedule.peak = train.learning_rate;
  schedule.steps = steps;
  const auto part = [steps](double ratio) {
    return static_cast<std::int64_t>(std::ceil(ratio * static_cast<double>(steps)));
  };
  schedule.warmup = train.warmup_steps.value_or(part(train.warmup_ratio.value_or(0)));
  schedule.floor = train.min_lr_ratio;
  schedule.decay_steps = part(train.decay_ratio);
  return schedule;
}

}  // namespace hearth
