#include "trainer/plan_keys.h"

#include <fmt/format.h>

namespace hearth {

PlanKeys plan_keys(const Recipe& recipe, const PlannedLayout& layout, std::int64_t rows) {
  const Recipe::Parallel& stated = recipe.parallel;
  const MeshShape& mesh = layout.mesh;
  PlanKeys keys;
  const auto add = [&](const char* key, const auto& value) { keys.emplace_back(key, fmt::format("{}", value)); };
  const auto add_size = [&](const char* key, int size, std::int64_t of_recipe) {
    if (size > 1 || size != of_recipe) add(key, size);
  };
  add_size("tensor_parallel_size", mesh.tensor, stated.tensor_parallel_size);
  add_size("pipeline_parallel_size", mesh.pipe, stated.pipeline_parallel_size);
  if (mesh.pipe > 1) {  // one stage has nothing to schedule, whatever the recipe says
    add("pipeline_schedule", name_of(layout.schedule));
    const int usual = layout.schedule == PipelineSchedule::interleaved ? 2 : 1;
    if (layout.chunks != stated.pipeline_chunks.value_or(usual)) add("pipeline_chunks", layout.chunks);
  }
  add_size("context_parallel_size", mesh.context, stated.context_parallel_size);
  if (layout.sums() > 1) add("zero_stage", layout.zero_stage);
  if (mesh.shard > 0) add("data_shard_size", mesh.shard);
  if (layout.recompute > 0 || layout.recompute != recipe.train.gradient_checkpointing) {
    add("gradient_checkpointing", layout.recompute);
  }
  if (!recipe.train.global_batch_size) {
    add("global_batch_size", rows);
    const std::int64_t round = recipe.train.per_device_train_batch_size * mesh.data;
    if (recipe.stated_as.contains("gradient_accumulation_steps") &&
        rows != round * recipe.train.gradient_accumulation_steps.value_or(1)) {
      add("gradient_accumulation_steps", rows / round);
    }
  }
  return keys;
}

}  // namespace hearth
