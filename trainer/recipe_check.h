// What a run would refuse before it reads the texts, asked without a run.
#pragma once

#include <string>
#include <vector>

#include "parallel/mesh.h"
#include "trainer/recipe.h"

namespace hearth {

/// Whether the microbatches of a run that begins suit the schedule; of one that goes on nothing, since its checkpoint says
/// how many it has. Reads the output folder and touches nothing. Throws Kind::usage.
void check_first_start(const Recipe& recipe, const MeshShape& shape);

/// Every refusal of train() that needs neither the texts nor other ranks, by the same code and in its order: the output
/// folder, the names of data files, the model and its tokenizer, what the model and the recipe say of each other, and the
/// mesh as far as it does not depend on the number of ranks. Nothing is touched. Throws what train() would. Returns what
/// train() would note about the model.
std::vector<std::string> check_recipe(const Recipe& recipe);

}  // namespace hearth
