// The learning rates that a recipe asks for.
#pragma once

#include <cstdint>

#include "optim/schedule.h"
#include "trainer/recipe.h"

namespace hearth {

/// The schedule of a run of `steps` steps; shares of the run become whole steps, rounded up.
Schedule schedule_of(const Recipe& recipe, std::int64_t steps);

}  // namespace hearth
