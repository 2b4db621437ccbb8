#include "plan/plans.h"

namespace hearth::test {

ModelConfig llama(std::int64_t width, std::int64_t hidden, std::int64_t layers, std::int64_t heads,
                  std::int64_t key_value_heads, std::int64_t vocabulary) {
  ModelConfig config;
  config.width = width;
  config.hidden = hidden;
  config.layers = layers;
  config.heads = heads;
  config.key_value_heads = key_value_heads;
  config.head_width = width / heads;
  config.vocabulary = vocabulary;
  config.max_positions = 8192;
  return config;
}

Machine shipped(const std::string& name) {
  return read_machine(Path(HEARTH_RECIPES) / "machines" / (name + ".yaml"));
}

PlannedOnMesh::PlannedOnMesh(const ModelConfig& config, const MeshShape& shape, std::int64_t tokens, Dtype compute)
    : mesh(shape),
      model(config, 0, Init::normal, {.tensor = shape.tensor, .context = shape.context}),
      planned(model, tokens, compute) {}

PlannedLayout PlannedOnMesh::layout(PipelineSchedule schedule, int chunks, int rounds) const {
  PlacedOptions options;
  options.compute = planned.compute();
  options.capacity = planned.capacity();
  options.schedule = schedule;
  options.chunks = chunks;
  return layout_of(model, mesh, options, rounds);
}

}  // namespace hearth::test
