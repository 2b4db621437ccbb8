// What one rank takes from its Memory in the course of a run, by purpose, before anything is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"
#include "parallel/mesh.h"
#include "parallel/schedule.h"
#include "trainer/model_on_mesh.h"
#include "trainer/plan_blocks.h"

namespace hearth {

/// How a run is laid out over the ranks of a mesh.
struct PlannedLayout {
  MeshShape mesh;
  int zero_stage = 0;
  bool trainable = true;
  SumOrder order = SumOrder::fixed;
  std::int64_t recompute = 0;   // see StageOptions
  bool asks_questions = false;  // which are scored by logits
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  int chunks = 1;                        // of each stage
  int rounds = 1;                        // microbatches of one data rank in a step
  std::vector<Interval> virtual_stages;  // blocks of each: chunk c of stage s at c * pipe + s

  int sums() const { return mesh.data * mesh.context; }  // ranks whose gradients are added up
  int shards() const;                                    // ranks that share the state between them
  /// Whether gradients go over the ranks once a step.
  bool sums_once() const { return order == SumOrder::fast && (sums() == 1 || zero_stage < 2); }
  /// Rounds that the schedule carries out: interleaved, a multiple of the stages.
  int rounds_of_schedule() const;
  std::vector<Interval> chunks_of(int stage) const;
};
/// The layout of a ModelOnMesh. `rounds`: microbatches of one data rank in a step.
PlannedLayout layout_of(const Transformer& model, const MeshShape& mesh, const PlacedOptions& options, int rounds);

/// Bytes of one rank at the peak. Nothing is counted twice, and the sum is what Memory::peak() says after a step whose
/// longest microbatch was as long as it can be: every pool keeps what it needed most, so the peaks come together.
struct MemoryPlan {
  std::size_t weights = 0;     // in the compute dtype; with f32, the master too, as far as it is part of them
  std::size_t master = 0;      // f32, beside the weights
  std::size_t moments = 0;     // two of the optimizer's
  std::size_t gradients = 0;   // running sums, and what one microbatch adds to them
  std::size_t gathered = 0;    // weights of blocks that are whole for a while (ZeRO 3)
  std::size_t inputs = 0;      // of every block: the residual stream; and what passes between pipeline stages
  std::size_t kept = 0;        // what blocks keep for their backward, and what contractions that are put off wait for
  std::size_t recomputed = 0;  // what blocks that forget it hold while it is their turn
  std::size_t logits = 0;      // of a chunk of rows, in scratch
  std::size_t scratch = 0;     // of blocks, beyond the logits, whose place they share
  std::size_t workspace = 0;   // of ops
  std::size_t batch = 0;       // tokens, ranges, rotary tables, losses of all microbatches under way
  /// Chunk sums of gradients, which all ranks exchange for the norm. Other messages lie where what they carry is counted.
  std::size_t communication = 0;

  std::size_t total() const;
  MemoryPlan& operator+=(const MemoryPlan& more);
  struct Row {
    std::string_view name;
    std::size_t bytes = 0;
  };
  /// All of them, for tables and tests.
  std::vector<Row> rows() const;
};

/// A rank of `stage` of the pipeline; of the first of its data axis, when these have unequal numbers of microbatches.
/// Without the workspace of ops, which is the device's: see workload_of.
MemoryPlan stage_memory(const PlannedModel& model, const PlannedLayout& layout, int stage);
/// The calls whose sizes decide the workspace of ops there: products and attentions, forward and backward.
Workload workload_of(const PlannedModel& model, const PlannedLayout& layout, int stage);

/// Both: all that a rank takes. The backend takes no memory.
MemoryPlan plan_memory(const PlannedModel& model, const PlannedLayout& layout, int stage, Backend& backend);
/// The plan as lines for people, without an end of line behind the last: each row that makes a hundredth, and the sum.
std::string memory_table(const MemoryPlan& plan);

}  // namespace hearth
