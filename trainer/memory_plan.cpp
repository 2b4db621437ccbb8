#include "trainer/memory_plan.h"

#include <algorithm>
#include <array>

#include "parallel/pipeline_program.h"
#include "trainer/memory_parts.h"
#include "trainer/progress.h"
#include "trainer/stage_scratch.h"

namespace hearth {

int PlannedLayout::shards() const {
  if (zero_stage == 0) return 1;
  return mesh.shard == 0 ? sums() : mesh.shard;
}

int PlannedLayout::rounds_of_schedule() const {
  if (schedule != PipelineSchedule::interleaved) return rounds;
  return (rounds + mesh.pipe - 1) / mesh.pipe * mesh.pipe;
}

std::vector<Interval> PlannedLayout::chunks_of(int stage) const {
  const PipelineShape shape = {mesh.pipe, chunks};
  std::vector<Interval> mine;
  mine.reserve(static_cast<std::size_t>(chunks));
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const int at = shape.virtual_stage(stage, chunk);
    mine.push_back(virtual_stages[static_cast<std::size_t>(at)]);
  }
  return mine;
}

PlannedLayout layout_of(const Transformer& model, const MeshShape& mesh, const PlacedOptions& options, int rounds) {
  PlannedLayout layout;
  layout.mesh = mesh;
  layout.zero_stage = options.zero_stage;
  layout.trainable = options.trainable;
  layout.order = options.order;
  layout.recompute = options.recompute;
  layout.schedule = options.schedule;
  layout.chunks = options.chunks;
  layout.rounds = rounds;
  layout.virtual_stages = virtual_stages(model, mesh.pipe, options.chunks, options.capacity);
  return layout;
}

namespace {

/// Logits and scratch: one arena, as a Stage reserves it.
void add_scratch(const PlannedModel& model, const PlannedLayout& layout, int stage, MemoryPlan& plan) {
  const StageOptions options = {model.compute(), layout.recompute, model.capacity(), layout.chunks_of(stage)};
  const StageScratch needed = stage_scratch(model.model(), options);
  if (options.chunks.back().end == model.blocks()) plan.logits = model.of(BlockKind::head).scratch.backward;
  if (layout.asks_questions) plan.logits = std::max(plan.logits, needed.logits);
  plan.scratch = std::max(needed.training, plan.logits) - plan.logits;
}

/// A weight (O, I) and `rows` rows: y = x W^T, dx = dy W, dW += dy^T x.
void add_products(const Dims& weight, std::int64_t rows, Dtype compute, Dtype output, Workload& work) {
  for (const Write write : {Write::over, Write::add}) {
    work.products.push_back({rows, weight[1], weight[0], Turn::no, Turn::yes, write, compute, output});
    work.products.push_back({rows, weight[0], weight[1], Turn::no, Turn::no, write, compute, compute});
  }
  work.products.push_back({weight[0], rows, weight[1], Turn::yes, Turn::no, Write::add, compute, Dtype::f32});
}

}  // namespace

Workload workload_of(const PlannedModel& model, const PlannedLayout& layout, int stage) {
  std::array<bool, block_kinds.size()> has{};
  for (const Interval& chunk : layout.chunks_of(stage)) {
    for (auto b = static_cast<int>(chunk.begin); b < chunk.end; ++b)
      has[static_cast<std::size_t>(model.kind_of(b))] = true;
  }
  Workload work;
  const Dtype compute = model.compute();
  const std::int64_t tokens = model.tokens();
  for (const BlockKind kind : {BlockKind::attention, BlockKind::mlp}) {
    if (!has[static_cast<std::size_t>(kind)]) continue;
    for (const Parameter& parameter : model.of(kind).parameters) {
      if (parameter.full.count == 2) add_products(piece_dims(parameter), tokens, compute, compute, work);
    }
  }
  if (has[static_cast<std::size_t>(BlockKind::head)]) {
    const Dims head = piece_dims(model.of(BlockKind::head).parameters[0]);
    add_products(head, std::min(Head::chunk, tokens), compute, Dtype::f32, work);
    if (tokens % Head::chunk != 0) add_products(head, tokens % Head::chunk, compute, Dtype::f32, work);
  }
  if (!has[static_cast<std::size_t>(BlockKind::attention)]) return work;
  work.attentions.push_back({.tokens = tokens,
                             .keys = tokens,
                             .heads = model.query_heads(),
                             .key_value_heads = model.key_value_heads(),
                             .head_width = model.config().head_width,
                             .window = model.config().window > 0 && model.axes().context == 1,
                             .backward = true,
                             .dtype = compute});
  return work;
}

MemoryPlan microbatch_memory(const PlannedModel& model, const PlannedLayout& layout, int stage, FlightTable& table) {
  MemoryPlan plan;
  add_flights(model, layout, stage, table, plan);
  add_scratch(model, layout, stage, plan);
  return plan;
}

MemoryPlan stage_memory(const PlannedModel& model, const PlannedLayout& layout, int stage) {
  FlightTable table;
  MemoryPlan plan = microbatch_memory(model, layout, stage, table);
  add_state(model, layout, stage, plan);
  return plan;
}

MemoryPlan plan_memory(const PlannedModel& model, const PlannedLayout& layout, int stage, Backend& backend) {
  MemoryPlan plan = stage_memory(model, layout, stage);
  plan.workspace = backend.workspace_bytes(workload_of(model, layout, stage));
  return plan;
}

std::vector<MemoryPlan::Row> MemoryPlan::rows() const {
  return {{"weights", weights},
          {"master weights", master},
          {"moments", moments},
          {"gradients", gradients},
          {"gathered blocks", gathered},
          {"inputs of blocks", inputs},
          {"kept for backward", kept},
          {"recomputed blocks", recomputed},
          {"logits", logits},
          {"scratch", scratch},
          {"workspace of ops", workspace},
          {"batch", batch},
          {"communication", communication}};
}

MemoryPlan& MemoryPlan::operator+=(const MemoryPlan& more) {
  for (const auto part :
       {&MemoryPlan::weights, &MemoryPlan::master, &MemoryPlan::moments, &MemoryPlan::gradients, &MemoryPlan::gathered,
        &MemoryPlan::inputs, &MemoryPlan::kept, &MemoryPlan::recomputed, &MemoryPlan::logits, &MemoryPlan::scratch,
        &MemoryPlan::workspace, &MemoryPlan::batch, &MemoryPlan::communication}) {
    this->*part += more.*part;
  }
  return *this;
}

std::size_t MemoryPlan::total() const {
  std::size_t sum = 0;
  for (const Row& row : rows()) sum += row.bytes;
  return sum;
}

std::string memory_table(const MemoryPlan& plan) {
  std::string text = "memory of the first rank, planned:";
  const auto line = [&](std::string_view name, std::size_t bytes) {
    text += fmt::format("\n  {:<18} {:>10}", name, bytes_text(static_cast<double>(bytes)));
  };
  std::size_t others = 0;
  for (const MemoryPlan::Row& row : plan.rows()) {
    if (100 * row.bytes < plan.total()) {
      others += row.bytes;
    } else {
      line(row.name, row.bytes);
    }
  }
  if (others > 0) line("others", others);
  line("together", plan.total());
  return text;
}

}  // namespace hearth
