#include "trainer/plan_time.h"

#include <algorithm>
#include <optional>
#include <span>

#include "parallel/pipeline_simulation.h"
#include "trainer/memory_parts.h"
#include "trainer/plan_work.h"
#include "trainer/stage.h"

namespace hearth {

double TimeShares::sum() const {
  return products + attention + memory + tensor + context + weights + gradients + pipe + update;
}

std::vector<TimeShares::Row> TimeShares::rows() const {
  return {{"products", "products", products},    {"attention", "attention", attention},
          {"memory", "passing memory", memory},  {"tensor", "tensor axis", tensor},
          {"context", "context axis", context},  {"weights", "weights", weights},
          {"gradients", "gradients", gradients}, {"pipe", "other stages", pipe},
          {"update", "update", update}};
}

double flops_per_token(const ModelConfig& config, std::int64_t row_tokens, bool causal) {
  const std::int64_t in_products = config.parameters() - (config.tied ? 0 : config.vocabulary * config.width);
  const auto attention = static_cast<double>(config.layers * config.query_width() * row_tokens);
  return 6 * static_cast<double>(in_products) + (causal ? 6 : 12) * attention;
}

namespace {

/// Seconds of one microbatch on one virtual stage, in parts.
struct ChunkWork {
  Work forward, backward, contract;
  double weights = 0;    // waiting for weights, there and back
  double gradients = 0;  // making room for gradients is memory; this is waiting for their sums
  double busy() const { return forward.sum() + backward.sum() + contract.sum() + weights + gradients; }
};

class Timer {
 public:
  Timer(const PlannedModel& model, const PlannedLayout& layout, const PlannedBatch& batch, const Machine& machine)
      : model_(model), layout_(layout), batch_(batch), machine_(machine) {
    for (const BlockKind kind : block_kinds) {
      const auto at = static_cast<std::size_t>(kind);
      work_[at] = block_work(kind, model, batch, machine);
      flat_[at].emplace(model.of(kind).parameters, layout.sums(), layout.shards());
    }
  }

  StepTime run(double enough) const;

 private:
  const BlockWork& work(int block) const { return work_[static_cast<std::size_t>(model_.kind_of(block))]; }
  const FlatLayout& flat(int block) const { return *flat_[static_cast<std::size_t>(model_.kind_of(block))]; }
  double gather(int block) const;
  double reduce(int block) const;
  ChunkWork chunk(const Interval& blocks) const;
  double update(int stage) const;
  double pipeline(const PipelineTimes& times, double busiest) const;
  double least_pipeline(const PipelineTimes& times, int stage, double busiest) const;

  const PlannedModel& model_;
  const PlannedLayout& layout_;
  const PlannedBatch& batch_;
  const Machine& machine_;
  std::array<BlockWork, block_kinds.size()> work_;
  std::array<std::optional<FlatLayout>, block_kinds.size()> flat_;
};

/// Seconds until the weights of a block are whole.
double Timer::gather(int block) const {
  const int shards = layout_.shards();
  const double bytes = static_cast<double>(flat(block).kept()) * static_cast<double>(size_of(model_.compute()));
  return gather_seconds(machine_, bytes, shards, layout_.mesh.tensor);
}

/// Seconds until the gradients of a block are on their owners.
double Timer::reduce(int block) const {
  const double bytes = static_cast<double>(flat(block).interval) * sizeof(float);
  return reduce_seconds(machine_, bytes, layout_.sums(), layout_.mesh.tensor);
}

ChunkWork Timer::chunk(const Interval& blocks) const {
  ChunkWork sum;
  const StageOptions recomputation = {.recompute = layout_.recompute};
  const bool gathers = layout_.zero_stage == 3 && layout_.shards() > 1;
  double before = 0;  // what the block before computes meanwhile, there and back
  double before_back = 0;
  for (std::int64_t b = blocks.begin; b < blocks.end; ++b) {
    const int block = static_cast<int>(b);
    const BlockWork& of = work(block);
    const bool forgets = is_recomputed(model_.model(), recomputation, block);
    sum.forward += of.forward;
    sum.backward += of.backward;
    sum.contract += of.contract;
    if (forgets) sum.backward += of.forward;
    const double forward = of.forward.sum();
    const double backward = of.backward.sum() + of.contract.sum() + (forgets ? forward : 0);
    if (!layout_.sums_once()) {
      // A gradient begins as zeros, and is added to the running sum, or sent to its owner and added there.
      const auto whole = static_cast<double>(flat(block).padded());
      const auto own = static_cast<double>(flat(block).interval);
      const double passed = layout_.sums() == 1 ? 4 * whole : 2 * whole + 2 * own;
      sum.contract.memory += 2 * machine_.op + passed * sizeof(float) / machine_.bandwidth;
      sum.gradients += std::max(0.0, reduce(block) - (machine_.hides_reduces ? before_back : 0));
    }
    if (gathers) {
      const double there = gather(block);
      const bool head = model_.kind_of(block) == BlockKind::head;
      sum.weights += std::max(0.0, there - (machine_.hides_gathers ? before : 0));
      if (!head) sum.weights += std::max(0.0, there - (machine_.hides_gathers ? backward : 0));
    }
    before = forward;
    before_back = backward;
  }
  return sum;
}

/// Norm, AdamW, weights to those who have copies.
double Timer::update(int stage) const {
  double elements = 0, own = 0, publish = 0, copies = 0;
  const double c = static_cast<double>(size_of(model_.compute()));
  for (const PlannedGroup& group : groups_of(model_, layout_, stage)) {
    elements += static_cast<double>(group.layout.kept());
    own += static_cast<double>(group.layout.interval);
    if (layout_.zero_stage != 3 && layout_.shards() > 1) publish += gather(group.block);
    if (layout_.sums_once()) copies += reduce(group.block);
    copies += gather_seconds(machine_, static_cast<double>(group.layout.interval) * sizeof(float),
                             group.layout.replicas(), layout_.mesh.tensor * layout_.shards());
  }
  const double norm = own * sizeof(float) / machine_.bandwidth +
                      gather_seconds(machine_, own / norm_chunk * sizeof(double), layout_.sums(), layout_.mesh.tensor);
  const double adamw = elements * (8 * sizeof(float) + c) / machine_.bandwidth;  // and the sums begin as zeros again
  return norm + adamw + publish + copies;
}

/// A few rounds are carried out, and the rest follow at the pace of the stage that has most to do: `busiest` seconds of
/// a microbatch.
double Timer::pipeline(const PipelineTimes& times, double busiest) const {
  const int stages = layout_.mesh.pipe;
  if (stages == 1) return busiest * layout_.rounds;
  const int all = layout_.rounds_of_schedule();
  const int few = std::min(all, 2 * stages);
  const PipelineRun run = simulate(all_stages(layout_.schedule, stages, layout_.chunks, few), times, Sends::rendezvous);
  return run.finish + busiest * (layout_.rounds - few);
}

/// What pipeline() says at least: `stage`, with the most to do, begins once the first microbatch has come through the
/// stages before it. Its last action is a backward, which goes back through them, unless contractions are put off.
double Timer::least_pipeline(const PipelineTimes& times, int stage, double busiest) const {
  double seconds = busiest * layout_.rounds;
  for (int before = 0; before < stage; ++before) {
    const ActionTimes& of = times.virtual_stages[static_cast<std::size_t>(before)];
    seconds += of.forward + times.message;
    if (layout_.schedule != PipelineSchedule::zero_bubble) seconds += of.backward + of.contract + times.message;
  }
  return seconds;
}

StepTime Timer::run(double enough) const {
  PipelineTimes times;
  std::vector<ChunkWork> chunks;
  for (const Interval& blocks : layout_.virtual_stages) {
    chunks.push_back(chunk(blocks));
    const ChunkWork& of = chunks.back();
    times.virtual_stages.push_back(
        {of.forward.sum() + of.weights / 2, of.backward.sum() + of.weights / 2 + of.gradients, of.contract.sum()});
  }
  if (layout_.mesh.pipe > 1) {
    times.message =
        message_seconds(machine_, static_cast<double>(model_.row_bytes()), layout_.mesh.ranks() / layout_.mesh.pipe);
  }
  // The stage that has most to do, and all of its microbatches.
  const auto m = static_cast<double>(layout_.rounds);
  StepTime step;
  double busiest = -1;
  int busiest_stage = 0;
  double update_seconds = 0;
  const PipelineShape shape = {layout_.mesh.pipe, layout_.chunks};
  for (int stage = 0; stage < layout_.mesh.pipe; ++stage) {
    TimeShares shares;
    for (int c = 0; c < layout_.chunks; ++c) {
      const int at = shape.virtual_stage(stage, c);
      const ChunkWork& of = chunks[static_cast<std::size_t>(at)];
      Work all = of.forward;
      all += of.backward;
      all += of.contract;
      shares.products += m * all.products;
      shares.attention += m * all.attention;
      shares.memory += m * all.memory;
      shares.tensor += m * all.tensor;
      shares.context += m * all.context;
      shares.weights += m * of.weights;
      shares.gradients += m * of.gradients;
    }
    update_seconds = std::max(update_seconds, update(stage));
    if (shares.sum() <= busiest) continue;
    busiest = shares.sum();
    busiest_stage = stage;
    step.shares = shares;
  }
  step.shares.update = update_seconds;
  const auto waits = [&](double seconds) { return std::max(0.0, seconds - busiest); };
  step.shares.pipe = waits(least_pipeline(times, busiest_stage, busiest / m));
  const bool hopeless = enough > 0 && step.shares.sum() > enough;
  if (!hopeless) step.shares.pipe = waits(pipeline(times, busiest / m));
  step.seconds = step.shares.sum();
  step.bubble = step.shares.pipe / step.seconds;
  const auto tokens = static_cast<double>(batch_.tokens());
  step.tokens_per_second = tokens / step.seconds;
  const double peak = machine_.peaks.at(model_.compute()) * layout_.mesh.ranks();
  step.mfu_causal = flops_per_token(model_.config(), batch_.row_tokens, true) * step.tokens_per_second / peak;
  step.mfu_full = flops_per_token(model_.config(), batch_.row_tokens, false) * step.tokens_per_second / peak;
  return step;
}

}  // namespace

StepTime step_time(const PlannedModel& model, const PlannedLayout& layout, const PlannedBatch& batch,
                   const Machine& machine, double enough) {
  return Timer(model, layout, batch, machine).run(enough);
}

}  // namespace hearth
