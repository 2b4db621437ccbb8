// A plan as keys of a recipe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "trainer/mesh_plan.h"
#include "trainer/recipe.h"

namespace hearth {

using PlanKeys = std::vector<std::pair<std::string, std::string>>;

/// Keys and values that, in place of those of `recipe`, make a run on that many ranks what was planned, `rows` a step:
/// all that are not what a run would take anyway, and whatever makes the mesh plain to a reader.
PlanKeys plan_keys(const Recipe& recipe, const PlannedLayout& layout, std::int64_t rows);

}  // namespace hearth
