// Whether a run may go on from a checkpoint.
#pragma once

#include "data/dataset.h"
#include "trainer/checkpoint.h"
#include "trainer/recipe.h"
#include "trainer/run_model.h"

namespace hearth {

/// Refuses to go on from `from` with another mathematics, model or data than it was made with. Throws Kind::usage (saved
/// without moments; keys of the recipe that may not change) and Kind::data (another config.json, other rows), naming the
/// checkpoint, what differs, and what to do.
void check_continues(const CheckpointReader& from, const Recipe& recipe, const RunModel& model, const Dataset& train);

}  // namespace hearth
