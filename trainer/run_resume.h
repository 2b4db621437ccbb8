// Whether a run may go on from a checkpoint, and whether it does so to the bit.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/together.h"
#include "kernels/backend.h"
#include "trainer/checkpoint.h"
#include "trainer/recipe.h"
#include "trainer/run_model.h"

namespace hearth {

/// Refuses to go on from `from` with another mathematics, model or data than it was made with. Throws Kind::usage (saved
/// without moments; keys of the recipe that may not change) and Kind::data (another config.json, other rows), naming the
/// checkpoint, what differs, and what to do.
void check_continues(const CheckpointReader& from, const Recipe& recipe, const RunModel& model, const Dataset& train);

/// Said when what the recipe states of a step's rows would make other ones on so many data ranks than those of the run that
/// is continued, which its first start fixed.
std::vector<std::string> step_notes(const Recipe& recipe, const RunState& state, int data_ranks);

/// What a person should know when the ranks do not compute on one kind of device, whose results are the same bits; the same
/// on every rank, empty when they do. A collective.
std::string note_of_kinds(const Together& together, const std::string& kind);
/// What a person should know when the ranks, or this and an earlier attempt, do not compute on one kind of device. `state`
/// keeps every kind that a run was computed on, in order. A collective.
std::vector<std::string> device_notes(const Together& together, const std::string& kind, RunState& state);

/// How a run's products of bf16 are to be made: as the recipe says, else as the run began, whose state is null where it
/// begins; nothing: as the device does. `changed` says what a recipe changes in the middle of a run, if it does.
std::optional<Bf16Products> products_of_run(const Recipe& recipe, const RunState* state, std::string& changed);

}  // namespace hearth
