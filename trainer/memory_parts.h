// The parts of a memory plan that follow who holds what, for how long: parameters and their state, microbatches.
#pragma once

#include <vector>

#include "parallel/flat_layout.h"
#include "trainer/memory_plan.h"

namespace hearth {

/// A group of this stage, as Groups makes it.
struct PlannedGroup {
  int block = 0;  // that declares its parameters
  FlatOptions options;
  FlatLayout layout;
  Residency residency;
};
std::vector<PlannedGroup> groups_of(const PlannedModel& model, const PlannedLayout& layout, int stage);

/// Weights, masters, moments, gradients, gathered blocks, norm.
void add_state(const PlannedModel& model, const PlannedLayout& layout, int stage, MemoryPlan& plan);
/// Inputs, what is kept, what is recomputed, batches.
void add_flights(const PlannedModel& model, const PlannedLayout& layout, int stage, MemoryPlan& plan);
/// These and scratch: what does not depend on how state is sharded.
MemoryPlan microbatch_memory(const PlannedModel& model, const PlannedLayout& layout, int stage);

}  // namespace hearth
