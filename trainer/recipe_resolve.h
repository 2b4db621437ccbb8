// What a recipe means beyond its single keys: defaults by task, contradictions, files that must exist.
#pragma once

#include "trainer/recipe_keys.h"

namespace hearth {

/// Values that depend on what is trained (recipes without a rate must not be wrong by a factor of a hundred).
struct TaskDefaults {
  double learning_rate;
  double num_train_epochs;
  double weight_decay;
  double warmup_ratio;
};
TaskDefaults task_defaults(Recipe::Stage stage, bool from_nothing);

/// What is noted about a warmup that is longer than the run.
std::string warmup_beyond(std::int64_t warmup_steps, std::int64_t steps);

/// Fills what was not stated; complains about what is missing.
void fill_in(RecipeDraft& draft);
/// Complains about keys that contradict each other or would have no effect; notes what is doubtful.
void check_together(RecipeDraft& draft);
/// Complains about files that do not exist, seen from the current folder.
void check_files(RecipeDraft& draft);

}  // namespace hearth
