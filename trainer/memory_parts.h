// The parts of a memory plan that follow who holds what, for how long: parameters and their state, microbatches.
#pragma once

#include <memory>
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

/// Weights, masters, moments, gradients, gathered blocks, communication.
void add_state(const PlannedModel& model, const PlannedLayout& layout, int stage, MemoryPlan& plan);
/// What was found of the microbatches in flight on other meshes, so that a schedule is not carried out anew for each. All
/// models that it is asked for are of one ModelConfig, and stay where they are as long as it.
class FlightTable {
 public:
  FlightTable();
  ~FlightTable();
  FlightTable(const FlightTable&) = delete;
  FlightTable& operator=(const FlightTable&) = delete;

 private:
  struct Known;
  std::unique_ptr<Known> known_;
  friend void add_flights(const PlannedModel& model, const PlannedLayout& layout, int stage, FlightTable& table,
                          MemoryPlan& plan);
};

/// Inputs, what is kept, what is recomputed, batches.
void add_flights(const PlannedModel& model, const PlannedLayout& layout, int stage, FlightTable& table,
                 MemoryPlan& plan);
/// These and scratch: what does not depend on how state is sharded.
MemoryPlan microbatch_memory(const PlannedModel& model, const PlannedLayout& layout, int stage, FlightTable& table);

}  // namespace hearth
