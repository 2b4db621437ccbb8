// How a recipe's model lies on the ranks and how its steps are done: the same for the run and for what verifies it.
#pragma once

#include "kernels/backend.h"
#include "parallel/mesh.h"
#include "trainer/model_on_mesh.h"
#include "trainer/recipe.h"
#include "trainer/step.h"

namespace hearth {

/// In the recipe's dtype, on a mesh that mesh_shape gave; without a capacity, which is the data's.
PlacedOptions placed_of(const Recipe& recipe, const MeshShape& mesh);
/// How products of bf16 are done, where the recipe says so, or makes none; nothing: as the processors can.
std::optional<Bf16Products> products_of(const Recipe& recipe);
StepOptions step_of_recipe(const Recipe& recipe, std::int64_t microbatch_rows);

}  // namespace hearth
