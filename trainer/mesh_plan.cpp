#include "trainer/mesh_plan.h"

#include <algorithm>

#include "base/counted.h"
#include "trainer/memory_parts.h"
#include "trainer/progress.h"
#include "trainer/recipe_mesh.h"

namespace hearth {

namespace {

std::vector<int> divisors(int n) {
  std::vector<int> all;
  for (int d = 1; d <= n / 2; ++d) {
    if (n % d == 0) all.push_back(d);
  }
  all.push_back(n);
  return all;
}

/// What needs most, for a reason.
std::string largest_row(const MemoryPlan& plan) {
  const auto rows = plan.rows();
  const auto most =
      std::max_element(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
  return fmt::format("most of it {} ({})", most->name, bytes_text(static_cast<double>(most->bytes)));
}

/// "141.34 GiB of 141.26 GiB": with as many digits as tell them apart.
std::string unlike_text(double needed, double there) {
  if (bytes_text(needed) != bytes_text(there)) return fmt::format("{} of {}", bytes_text(needed), device_text(there));
  constexpr double gibi = 1073741824.0;
  for (int digits = 2; digits <= 6; ++digits) {
    const std::string some = fmt::format("{:.{}f}", needed / gibi, digits);
    const std::string all = fmt::format("{:.{}f}", there / gibi, digits);
    if (some != all) return fmt::format("{} GiB of {} GiB", some, all);
  }
  return fmt::format("{:.0f} bytes of {:.0f}", needed, there);
}

/// How products may be done there, as far as this processor can tell what that needs.
std::vector<Bf16Products> ways_of(const Machine& machine, const PlanRequest& request) {
  if (request.compute != Dtype::bf16 || !has_native_bf16_products()) return {Bf16Products::widened};
  if (request.bf16_products) return {*request.bf16_products};
  if (machine.bf16_products) return {*machine.bf16_products};
  return {Bf16Products::widened, Bf16Products::native};
}

/// Of a stage, where nothing is said.
int usual_chunks(PipelineSchedule schedule) {
  return schedule == PipelineSchedule::interleaved ? 2 : 1;
}

}  // namespace

/// The model cut for its axes.
struct Planner::Cut {
  Cut(const ModelConfig& config, const MeshShape& mesh, std::int64_t tokens, Dtype compute)
      : model(config, 0, Init::normal, {.tensor = mesh.tensor, .context = mesh.context}),
        planned(model, tokens, compute) {}
  Transformer model;
  PlannedModel planned;
};

Planner::Planner(const ModelConfig& config, const PlanRequest& request, const Machine& machine, double memory)
    : config_(config), request_(request), machine_(machine), memory_(memory) {
  if (machine.device != Machine::Device::cpu) return;
  for (const Bf16Products way : ways_of(machine, request)) {
    backends_.push_back(make_cpu_backend({.threads = request.threads, .bf16_products = way, .isa = request.isa}));
  }
}

Planner::~Planner() = default;

const PlannedModel& Planner::model(const MeshShape& mesh) {
  auto& found = models_[{mesh.tensor, mesh.context}];
  if (!found) found = std::make_unique<Cut>(config_, mesh, request_.microbatch_tokens(), request_.compute);
  return found->planned;
}

int Planner::rounds(const MeshShape& mesh) const {
  return static_cast<int>((request_.microbatches() + mesh.data - 1) / mesh.data);
}

std::size_t Planner::workspace(const PlannedLayout& layout, int stage) {
  const PlannedModel& cut = model(layout.mesh);
  int kinds = 0;
  for (const Interval& chunk : layout.chunks_of(stage)) {
    for (auto b = static_cast<int>(chunk.begin); b < chunk.end; ++b) kinds |= 1 << static_cast<int>(cut.kind_of(b));
  }
  const auto [at, is_new] = workspaces_.try_emplace({layout.mesh.tensor, layout.mesh.context, kinds}, 0);
  if (!is_new) return at->second;
  const Workload work = workload_of(cut, layout, stage);
  for (const auto& backend : backends_) at->second = std::max(at->second, backend->workspace_bytes(work));
  return at->second;
}

const std::vector<Interval>& Planner::virtual_stages(int stages, int chunks) {
  auto& found = stages_[stages * chunks];
  if (found.empty()) {
    found = hearth::virtual_stages(model({}).model(), stages, chunks, request_.microbatch_tokens());
  }
  return found;
}

/// Sizes that cannot be, whatever memory there is.
std::string Planner::refusal(const MeshShape& mesh) const {
  try {
    check_model(config_, mesh);
    if (request_.shard.value_or(0) > 0) check_shards(mesh, *request_.shard);
  } catch (const Error& error) {
    return error.text();
  }
  if (request_.rounds && *request_.rounds * mesh.data != request_.microbatches()) {
    return fmt::format(
        "gradient_accumulation_steps: {}: on {} a step has {} then, and {} by global_batch_size; leave one of them out",
        *request_.rounds, counted(mesh.data, "data rank"), counted(*request_.rounds * mesh.data, "microbatch"),
        request_.microbatches());
  }
  return "";
}

bool Planner::is_asked_for(const MeshShape& mesh) const {
  return mesh.pipe == request_.pipe.value_or(mesh.pipe) && mesh.context == request_.context.value_or(mesh.context) &&
         mesh.tensor == request_.tensor.value_or(mesh.tensor);
}

/// What a run would do, since it pads, but nobody wants.
std::string Planner::pointless(const MeshShape& mesh) const {
  const std::int64_t most = std::max<std::int64_t>(1, request_.microbatch_tokens() / 2);
  if (request_.context || mesh.context <= most) return "";
  return fmt::format(
      "context_parallel_size: {}: {} tokens of a microbatch are not enough for 2 x {} pieces; at most {}", mesh.context,
      request_.microbatch_tokens(), mesh.context, most);
}

/// What is known before anything is chosen.
PlannedLayout Planner::stated_layout(const MeshShape& mesh) const {
  PlannedLayout layout;
  layout.mesh = mesh;
  layout.mesh.shard = request_.shard.value_or(0);
  layout.order = request_.order;
  layout.asks_questions = request_.asks_questions;
  layout.zero_stage = request_.zero_stage.value_or(0);
  layout.recompute = request_.recompute.value_or(0);
  if (mesh.pipe == 1) return layout;
  layout.schedule = request_.schedule.value_or(PipelineSchedule::one_f_one_b);
  layout.chunks = request_.chunks.value_or(usual_chunks(layout.schedule));
  return layout;
}

/// Those that are asked for, or worth trying. None: why.
std::vector<Planner::Schedule> Planner::schedules(const MeshShape& mesh, int rounds, std::string& refusal) const {
  if (mesh.pipe == 1) return {Schedule()};  // one stage has nothing to schedule
  std::vector<Schedule> all;
  const auto add = [&](PipelineSchedule kind, int chunks) {
    if (request_.schedule && *request_.schedule != kind) return;
    std::string why = hearth::refusal(kind, mesh.pipe, chunks, rounds);
    try {
      check_model(config_, mesh, chunks);
    } catch (const Error& error) {
      why = error.text();
    }
    if (why.empty()) all.push_back({kind, chunks});
    if (request_.schedule || request_.chunks) refusal = why;
  };
  for (const PipelineSchedule kind :
       {PipelineSchedule::one_f_one_b, PipelineSchedule::zero_bubble, PipelineSchedule::interleaved}) {
    add(kind, request_.chunks.value_or(usual_chunks(kind)));
  }
  return all;
}

/// What is settled, or worth trying.
struct Planner::Choices {
  std::vector<int> zero_stages;
  std::vector<int> shards;
  std::vector<std::int64_t> recomputes;  // from what is fastest to what needs least
};

Planner::Choices Planner::choices(const MeshShape& mesh) const {
  const int sums = mesh.data * mesh.context;
  Choices all;
  all.zero_stages = {0};
  if (sums > 1) all.zero_stages = {2, 3};  // in the fixed order of sums, 2 sends what 0 and 1 send, and holds less
  if (sums > 1 && request_.order == SumOrder::fast) all.zero_stages = {1, 3};
  if (request_.zero_stage) all.zero_stages = {*request_.zero_stage};
  all.shards = {request_.shard.value_or(0)};
  const int inside = machine_.node / mesh.tensor;
  if (!request_.shard && inside > 1 && inside < sums && sums % inside == 0) all.shards.push_back(inside);
  all.recomputes = {0, 1};
  if (request_.recompute) all.recomputes = {*request_.recompute};
  return all;
}

/// What does not depend on ZeRO, of each stage of the pipeline.
std::vector<MemoryPlan> Planner::microbatch_memories(const PlannedLayout& layout) {
  std::vector<MemoryPlan> all;
  for (int stage = 0; stage < layout.mesh.pipe; ++stage) {
    all.push_back(microbatch_memory(model(layout.mesh), layout, stage, flights_));
    all.back().workspace = workspace(layout, stage);
  }
  return all;
}

/// Memory of each stage of the pipeline, and which needs most.
void Planner::add_memory(const std::vector<MemoryPlan>& microbatches, MeshPlan& plan) {
  const PlannedModel& cut = model(plan.layout.mesh);
  plan.memory = microbatches;
  plan.bytes = 0;
  for (std::size_t stage = 0; stage < plan.memory.size(); ++stage) {
    add_state(cut, plan.layout, static_cast<int>(stage), plan.memory[stage]);
    const double bytes = static_cast<double>(plan.memory[stage].total()) + machine_.runtime;
    if (bytes <= plan.bytes) continue;
    plan.bytes = bytes;
    plan.fullest = static_cast<int>(stage);
  }
}

/// Keeps the faster of two that fit, else the one that needs less.
void Planner::choose(MeshPlan plan, MeshPlan& best) {
  const bool fits = plan.bytes <= memory_;
  const bool is_first = best.memory.empty();
  const bool best_fits = !is_first && best.bytes <= memory_;
  if (fits) {
    const PlannedBatch batch{request_.row_tokens, request_.rows, request_.microbatches()};
    plan.time = step_time(model(plan.layout.mesh), plan.layout, batch, machine_, best_fits ? best.time.seconds : 0);
  }
  const bool better =
      fits ? !best_fits || plan.time.seconds < best.time.seconds : !best_fits && plan.bytes < best.bytes;
  if (is_first || better) best = std::move(plan);
}

MeshPlan Planner::plan(const MeshShape& mesh) {
  MeshPlan best;
  best.layout = stated_layout(mesh);
  best.refusal = refusal(mesh);
  if (!best.refusal.empty()) return best;
  const Choices choices = this->choices(mesh);
  const int rounds = this->rounds(mesh);
  for (const Schedule& schedule : schedules(mesh, rounds, best.refusal)) {
    MeshPlan plan;
    plan.layout = stated_layout(mesh);
    plan.layout.schedule = schedule.kind;
    plan.layout.chunks = schedule.chunks;
    plan.layout.rounds = rounds;
    plan.layout.virtual_stages = virtual_stages(mesh.pipe, schedule.chunks);
    plan.idle = ideal_bubble(schedule.kind, mesh.pipe, schedule.chunks, rounds);
    std::vector<std::vector<MemoryPlan>> microbatches(choices.recomputes.size());  // of each stage, once needed
    for (const int zero : choices.zero_stages) {
      for (const int shard : choices.shards) {
        for (std::size_t i = 0; i < choices.recomputes.size(); ++i) {
          plan.layout.zero_stage = zero;
          plan.layout.mesh.shard = shard;
          plan.layout.recompute = choices.recomputes[i];
          if (microbatches[i].empty()) microbatches[i] = microbatch_memories(plan.layout);
          add_memory(microbatches[i], plan);
          choose(plan, best);
          if (plan.bytes <= memory_) break;  // recomputing more takes longer
        }
      }
    }
  }
  if (best.bytes > memory_) {
    best.refusal = fmt::format("needs {}{}, {}", unlike_text(best.bytes, memory_),
                               best.layout.recompute == 1 ? " even with gradient_checkpointing" : "",
                               largest_row(best.memory[static_cast<std::size_t>(best.fullest)]));
  }
  return best;
}

std::vector<MeshPlan> Planner::all(int devices) {
  std::vector<MeshPlan> plans;
  for (const int pipe : divisors(devices)) {
    for (const int tensor : divisors(devices / pipe)) {
      for (const int context : divisors(devices / pipe / tensor)) {
        const MeshShape mesh = {
            .pipe = pipe, .data = devices / pipe / tensor / context, .context = context, .tensor = tensor};
        if (!is_asked_for(mesh)) continue;
        const std::string why = pointless(mesh);
        plans.push_back(why.empty() ? plan(mesh) : MeshPlan{.layout = stated_layout(mesh), .refusal = why});
      }
    }
  }
  std::stable_sort(plans.begin(), plans.end(), [](const MeshPlan& a, const MeshPlan& b) {
    if (a.refusal.empty() != b.refusal.empty()) return a.refusal.empty();
    return a.refusal.empty() ? a.time.seconds < b.time.seconds : a.bytes < b.bytes;
  });
  return plans;
}

StepTraffic Planner::traffic(const MeshPlan& plan, int stage) {
  return step_traffic(model(plan.layout.mesh), plan.layout, stage, request_.microbatches());
}

}  // namespace hearth
