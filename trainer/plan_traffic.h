// What one rank sends in one step, by who it sends it to: exact formulas, as the counters of communicators count
// (parallel/communicator.h).
#pragma once

#include <string_view>
#include <vector>

#include "trainer/memory_plan.h"

namespace hearth {

/// Calls and bytes of one rank in one step of training, its update included. Nothing for communicators of one rank.
struct StepTraffic {
  Traffic shard;     // ranks that share state: weights
  Traffic sums;      // data x context: gradients, norms, losses
  Traffic replicas;  // ranks with the same place in other shards (stage 0: all of sums): summed gradients
  Traffic tensor;    // rows, norms
  Traffic holders;   // ranks of the tensor axis with the same piece: gradients that are addends
  Traffic context;   // keys and values
  Traffic pipe;      // norms, losses
  Traffic edges;     // activations and their gradients, to and from neighbouring stages
  Traffic ends;      // gradients of tied ends on two stages

  struct Row {
    std::string_view key;   // for programs
    std::string_view name;  // for people
    const Traffic* traffic = nullptr;
  };
  /// All of them, for tables; they point into this.
  std::vector<Row> rows() const;
};
/// Of the first rank of its stage, which has a microbatch in every round. `microbatches`: of the step, over all data
/// ranks, all of the full length.
StepTraffic step_traffic(const PlannedModel& model, const PlannedLayout& layout, int stage, std::int64_t microbatches);

/// All operations of a communicator together.
Traffic::Count all_of(const Traffic& traffic);

}  // namespace hearth
