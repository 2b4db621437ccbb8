#include "trainer/recipe_check.h"

#include <filesystem>

#include "trainer/checkpoint.h"
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

/// Whether a step's microbatches are the recipe's, not those of a checkpoint that the run goes on from.
bool begins(const Recipe& recipe) {
  const std::string& from = recipe.output.resume_from_checkpoint;
  if (from != "auto" && from != "none") return false;
  std::error_code ignored;  // what is no folder is refused by check_start
  const Path folder = recipe.output.output_dir;
  return !std::filesystem::is_directory(folder, ignored) || checkpoints(folder).empty();
}

/// As far as the recipe says how many microbatches a data rank has, or that there are too few for any number of ranks.
void check_stated_microbatches(const Recipe& recipe, const MeshShape& shape) {
  if (!begins(recipe)) return;
  const Recipe::Train& train = recipe.train;
  if (!train.global_batch_size || train.gradient_accumulation_steps) {
    check_schedule(recipe, shape, train.gradient_accumulation_steps.value_or(1));
    return;
  }
  const std::int64_t microbatches = *train.global_batch_size / train.per_device_train_batch_size;
  if (microbatches < shape.pipe) check_schedule(recipe, shape, microbatches);
}

}  // namespace

void check_first_start(const Recipe& recipe, const MeshShape& shape) {
  if (begins(recipe)) check_schedule(recipe, shape, rows_of_first_start(recipe, shape.data).microbatches);
}

std::vector<std::string> check_recipe(const Recipe& recipe) {
  const MeshShape shape = shape_without_ranks(recipe);
  check_chunks(recipe);
  check_stated_microbatches(recipe, shape);
  check_start(recipe);
  const RunModel model = model_without_texts(recipe);
  check_model(model.config, shape, chunks_of(recipe));
  const DataOptions options = data_options(recipe, model.config);
  for (const std::string& complaint : complaints(options)) fail(Kind::usage, "{}", complaint);
  check_sources(options.datasets);
  check_sources(options.eval_datasets);
  check_questions(recipe, model);
  return model.notes;
}

}  // namespace hearth
