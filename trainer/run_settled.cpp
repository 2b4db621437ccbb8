#include "trainer/run_settled.h"

#include "trainer/recipe_mesh.h"
#include "trainer/run_schedule.h"

namespace hearth {

Settled settled_at_start(const Recipe& recipe, const StartFacts& facts) {
  const MeshShape& mesh = facts.mesh;
  const int sums = mesh.data * mesh.context;
  Settled settled;
  settled.ranks = fmt::format("{} rank(s): pipe {} x data {} x context {} x tensor {}", mesh.ranks(), mesh.pipe,
                              mesh.data, mesh.context, mesh.tensor);
  const auto set = [&](const char* key, auto value) { settled.values[key] = fmt::format("{}", value); };
  if (recipe.from_nothing()) set("initializer_range", facts.config.initializer_range);
  set("cutoff_len", facts.cutoff_len);
  set("gradient_accumulation_steps", (facts.step.microbatches + mesh.data - 1) / mesh.data);
  set("global_batch_size", facts.step.rows);
  set("threads_per_rank", facts.threads);
  set("warmup_steps", schedule_of(recipe, facts.steps).warmup);
  set("max_steps", facts.steps);
  set("zero_stage", zero_stage(recipe, sums));
  set("data_shard_size", mesh.shard > 0 ? mesh.shard : sums);
  set("pipeline_chunks", chunks_of(recipe));
  return settled;
}

}  // namespace hearth
