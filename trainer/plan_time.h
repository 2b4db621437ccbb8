// How long a step takes on a machine, by arithmetic: what products, attention, memory and links allow, and what of it
// runs at the same time. docs/plan.md says what is assumed, and where each number comes from.
#pragma once

#include <string_view>
#include <vector>

#include "trainer/machine.h"
#include "trainer/memory_plan.h"
#include "trainer/plan_traffic.h"

namespace hearth {

/// What a step computes, whatever the mesh.
struct PlannedBatch {
  std::int64_t row_tokens = 0;    // S: tokens of one row, all of one document
  std::int64_t rows = 0;          // of a step, over all ranks
  std::int64_t microbatches = 0;  // of a step, over all data ranks
  std::int64_t tokens() const { return rows * row_tokens; }
};

/// Where the time of the slowest stage of the pipeline goes, in seconds of a step.
struct TimeShares {
  double products = 0;
  double attention = 0;
  double memory = 0;     // everything that passes memory and computes little: norms, activations, gradients' sums
  double tensor = 0;     // waiting for rows of the tensor axis
  double context = 0;    // for keys and values
  double weights = 0;    // for weights of other shards, beyond what is hidden
  double gradients = 0;  // for sums of gradients, beyond what is hidden
  double pipe = 0;       // for other stages, messages included: the bubble
  double update = 0;     // norm, AdamW, publishing
  double sum() const;

  struct Row {
    std::string_view key;   // for programs
    std::string_view name;  // for people
    double seconds = 0;
  };
  /// All of them, for tables.
  std::vector<Row> rows() const;
};

struct StepTime {
  double seconds = 0;
  double bubble = 0;  // share of the step in which the slowest stage waits for others
  TimeShares shares;
  double tokens_per_second = 0;  // of all ranks
  double mfu_causal = 0;         // of the machine's peak, counting what a causal kernel computes
  double mfu_full = 0;           // counting the masked half too
};

/// FLOP of forward and backward a token: 6 N + 6 L d S, N parameters in products and d = heads x head width; the
/// masked half of attention counted or not.
double flops_per_token(const ModelConfig& config, std::int64_t row_tokens, bool causal);

/// enough: once it is certain that a step takes longer than this, a lower bound is given; 0: never.
StepTime step_time(const PlannedModel& model, const PlannedLayout& layout, const PlannedBatch& batch,
                   const Machine& machine, double enough = 0);

}  // namespace hearth
