#include "trainer/model_on_mesh.h"

#include "parallel/balance.h"

namespace hearth {

namespace {

std::vector<Interval> chunks_of(const Transformer& model, Mesh& mesh, const PlacedOptions& options) {
  const int stages = mesh.shape().pipe;
  const auto all = virtual_stages(model, stages, options.chunks, options.capacity);
  std::vector<Interval> mine;
  for (int chunk = 0; chunk < options.chunks; ++chunk) {
    mine.push_back(all[static_cast<std::size_t>(chunk * stages + mesh.along(Axis::pipe).rank())]);
  }
  return mine;
}

GroupOptions groups_of(const Transformer& model, Mesh& mesh, const PlacedOptions& options) {
  return {options.zero_stage, options.compute, options.trainable, options.poison, chunks_of(model, mesh, options),
          options.order};
}

StageOptions stage_of(const Transformer& model, Mesh& mesh, const PlacedOptions& options) {
  const std::int64_t multiple = token_multiple(model.axes());
  const std::int64_t capacity = (options.capacity + multiple - 1) / multiple * multiple;
  return {options.compute, options.recompute, capacity, chunks_of(model, mesh, options)};
}

}  // namespace

double cost_of(const Transformer& model, int block, std::int64_t tokens) {
  double cost = 0;
  for (const Parameter& parameter : model.block(block).parameters()) {
    if (parameter.full.count == 2) cost += 3 * static_cast<double>(parameter.full.elements());
  }
  if (block == 0) return 3 * static_cast<double>(model.config().width);  // rows are copied and added, not multiplied
  const bool attention = model.layer_of(block) >= 0 && block == model.attention_of(model.layer_of(block));
  if (attention) {
    const auto pairs = static_cast<double>(tokens) / 2;
    cost += 7 * pairs * static_cast<double>(model.config().heads * model.config().head_width);  // 2 products, then 5
  }
  return cost;
}

std::vector<Interval> virtual_stages(const Transformer& model, int stages, int chunks, std::int64_t tokens) {
  require(stages > 1 || chunks == 1, "one stage is one chunk: there are no others to take turns with");
  if (stages * chunks > model.blocks()) {
    fail(
        Kind::usage,
        "pipeline_parallel_size: {} stages of {} chunk(s) need at least {} blocks, and this model has {} (two a layer, "
        "embedding, final norm and head): use at most {} stages",
        stages, chunks, stages * chunks, model.blocks(), model.blocks() / chunks);
  }
  std::vector<double> costs;
  for (int block = 0; block < model.blocks(); ++block) costs.push_back(cost_of(model, block, tokens));
  const std::vector<int> begins = balanced(costs, stages * chunks);
  std::vector<Interval> parts;
  for (std::size_t i = 0; i + 1 < begins.size(); ++i) parts.push_back({begins[i], begins[i + 1]});
  return parts;
}

ModelOnMesh::ModelOnMesh(const Transformer& model, Mesh& mesh, const PlacedOptions& options, Ops& ops, Memory& memory)
    : groups(model, mesh, groups_of(model, mesh, options), ops, memory),
      stage(model, groups, mesh, ops, memory, stage_of(model, mesh, options)),
      pipeline(stage, mesh, options.schedule) {}

}  // namespace hearth
