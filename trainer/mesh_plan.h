// Which meshes a model can be trained on: what each needs, what it sends, how long a step takes, or why it does not do.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "trainer/machine.h"
#include "trainer/memory_parts.h"
#include "trainer/memory_plan.h"
#include "trainer/plan_time.h"
#include "trainer/plan_traffic.h"

namespace hearth {

/// More are not planned. Every mesh of 55440 devices, which has more of them than any other number up to this, takes some
/// ten seconds for a model of 80 layers.
constexpr int most_planned_ranks = 65536;

/// What is trained, and what of its layout is settled. Nothing: whichever is fastest and fits.
struct PlanRequest {
  Dtype compute = Dtype::bf16;
  std::int64_t row_tokens = 0;       // of a full row
  std::int64_t microbatch_rows = 1;  // of one microbatch
  std::int64_t rows = 0;             // of a step
  bool asks_questions = false;
  SumOrder order = SumOrder::fixed;
  int threads = 1;                            // of a rank, on a CPU
  std::optional<Bf16Products> bf16_products;  // of a CPU, where the recipe says so
  Isa isa = Isa::best;                        // the widest that a CPU may use
  std::optional<std::int64_t> rounds;         // microbatches of a data rank, where rows are settled too
  std::optional<int> pipe, context, tensor;   // sizes of axes: of every mesh that is listed
  std::optional<int> zero_stage;
  std::optional<int> shard;
  std::optional<std::int64_t> recompute;
  std::optional<PipelineSchedule> schedule;
  std::optional<int> chunks;

  std::int64_t microbatch_tokens() const { return microbatch_rows * row_tokens; }
  std::int64_t microbatches() const { return (rows + microbatch_rows - 1) / microbatch_rows; }
};

struct MeshPlan {
  PlannedLayout layout;
  std::string refusal;             // why it does not do; empty: it does
  std::vector<MemoryPlan> memory;  // of a rank of each stage of the pipeline; empty when sizes do not divide
  int fullest = 0;                 // the stage that needs most
  double bytes = 0;                // of that one, tensors and runtime
  double idle = 0;                 // the schedule's own bubble
  StepTime time;                   // only when it does
};

class Planner {
 public:
  /// memory: bytes of one device. The machine must outlive it.
  Planner(const ModelConfig& config, const PlanRequest& request, const Machine& machine, double memory);
  ~Planner();

  /// The best way to run on this mesh within what the request settled (with one stage, schedule and chunks mean
  /// nothing). Sizes that cannot be, and what does not fit,
  /// are told in `refusal`, with the keys of a recipe and the nearest sizes that work.
  MeshPlan plan(const MeshShape& mesh);
  /// Every mesh of that many devices with the sizes that are stated (none: there is no such mesh): those that fit by
  /// time, then the others by what they need. One that cuts microbatches into more pieces along the context axis than
  /// they have tokens is refused here, which plan() does not do, since a run pads; not where that size is stated.
  std::vector<MeshPlan> all(int devices);

  StepTraffic traffic(const MeshPlan& plan, int stage);
  const PlannedModel& model(const MeshShape& mesh);

 private:
  struct Choices;
  struct Cut;
  struct Schedule {
    PipelineSchedule kind = PipelineSchedule::one_f_one_b;
    int chunks = 1;
  };
  Choices choices(const MeshShape& mesh) const;
  std::vector<MemoryPlan> microbatch_memories(const PlannedLayout& layout);
  void add_memory(const std::vector<MemoryPlan>& microbatches, MeshPlan& plan);
  void choose(MeshPlan plan, MeshPlan& best);
  std::string refusal(const MeshShape& mesh) const;
  bool is_asked_for(const MeshShape& mesh) const;
  std::string pointless(const MeshShape& mesh) const;
  PlannedLayout stated_layout(const MeshShape& mesh) const;
  std::vector<Schedule> schedules(const MeshShape& mesh, int rounds, std::string& refusal) const;
  int rounds(const MeshShape& mesh) const;
  const std::vector<Interval>& virtual_stages(int stages, int chunks);
  std::size_t workspace(const PlannedLayout& layout, int stage);

  const ModelConfig config_;
  PlanRequest request_;
  const Machine& machine_;
  double memory_;
  std::vector<std::unique_ptr<Backend>> backends_;              // of a CPU, to be asked for their workspace
  std::map<std::pair<int, int>, std::unique_ptr<Cut>> models_;  // by tensor and context
  FlightTable flights_;
  std::map<std::tuple<int, int, int>, std::size_t> workspaces_;
  std::map<int, std::vector<Interval>> stages_;  // by their number
};

}  // namespace hearth
