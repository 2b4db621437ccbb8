#include "trainer/recipe_step.h"

#include "trainer/recipe_mesh.h"

namespace hearth {

PlacedOptions placed_of(const Recipe& recipe, const MeshShape& mesh) {
  PlacedOptions placed;
  placed.compute = recipe.train.dtype;
  placed.zero_stage = zero_stage(recipe, mesh.data * mesh.context);
  placed.recompute = recipe.train.gradient_checkpointing;
  placed.schedule = schedule_kind(recipe);
  placed.chunks = chunks_of(recipe);
  placed.order = recipe.train.sum_order == Recipe::SumOrder::fast ? SumOrder::fast : SumOrder::fixed;
  return placed;
}

std::optional<Bf16Products> products_of(const Recipe& recipe) {
  const Recipe::Products stated = recipe.train.bf16_products;
  if (recipe.train.dtype != Dtype::bf16 || stated == Recipe::Products::widened) return Bf16Products::widened;
  return stated == Recipe::Products::native ? std::optional(Bf16Products::native) : std::nullopt;
}

StepOptions step_of_recipe(const Recipe& recipe, std::int64_t microbatch_rows) {
  StepOptions step;
  step.microbatch_rows = microbatch_rows;
  step.adamw = {.beta1 = recipe.train.adam_beta1,
                .beta2 = recipe.train.adam_beta2,
                .epsilon = recipe.train.adam_epsilon,
                .decay = recipe.train.weight_decay};
  step.max_norm = recipe.train.max_grad_norm;
  return step;
}

}  // namespace hearth
