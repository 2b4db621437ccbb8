#include "trainer/recipe_check.h"

#include "trainer/recipe_mesh.h"
#include "trainer/run_data.h"
#include "trainer/run_model.h"
#include "trainer/run_start.h"

namespace hearth {

namespace {

/// The data axis is what ranks leave; every rule that is looked at here holds for any of its sizes.
MeshShape shape_without_ranks(const Recipe& recipe) {
  MeshShape shape;
  shape.pipe = static_cast<int>(recipe.parallel.pipeline_parallel_size);
  shape.context = static_cast<int>(recipe.parallel.context_parallel_size);
  shape.tensor = static_cast<int>(recipe.parallel.tensor_parallel_size);
  return shape;
}

}  // namespace

std::vector<std::string> check_recipe(const Recipe& recipe) {
  check_start(recipe);
  const RunModel model = model_without_texts(recipe);
  const MeshShape shape = shape_without_ranks(recipe);
  check_model(model.config, shape, chunks_of(recipe));
  const DataOptions options = data_options(recipe, model.config);
  for (const std::string& complaint : complaints(options)) fail(Kind::usage, "{}", complaint);
  check_sources(options.datasets);
  check_sources(options.eval_datasets);
  check_questions(recipe, model);
  // Otherwise the microbatches of a rank depend on how many there are.
  if (!recipe.train.global_batch_size) {
    check_schedule(recipe, shape, recipe.train.gradient_accumulation_steps.value_or(1));
  }
  return model.notes;
}

}  // namespace hearth
