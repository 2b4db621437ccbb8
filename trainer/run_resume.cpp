#include "trainer/run_resume.h"

namespace hearth {

void check_continues(const CheckpointReader& from, const Recipe& recipe, const RunModel& model, const Dataset& train) {
  const RunState& state = from.state();
  const std::string folder = from.path().string();
  if (!from.has_moments()) {
    fail(Kind::usage, "{} was saved with save_only_model: it has no optimizer state and cannot be continued", folder);
  }
  const Recipe before = parse_recipe(state.recipe, folder + "/recipe.yaml", {}, RecipeFiles::unchecked);
  for (const Difference& d : forbidden_changes(before, recipe)) {
    fail(Kind::usage,
         "{} was made with {}: {}, the recipe says {}: a run goes on with the mathematics it began with; put it back, "
         "or begin anew in another output_dir",
         folder, d.key, d.before.empty() ? "not set" : d.before, d.now.empty() ? "not set" : d.now);
  }
  if (from.carried("config.json") != carried_file(model.files, "config.json")) {
    fail(Kind::data,
         "the model's config.json changed since this run began: {}/config.json says what it was; put it back, or begin "
         "a new run in another output_dir",
         folder);
  }
  const std::string store = state.more.value("data", "");
  if (store != train.store().key() || state.rows_of_epoch != train.rows()) {
    fail(Kind::data,
         "the data changed since this run began ({} rows then, {} now): put the files back, or begin a new run in "
         "another output_dir",
         state.rows_of_epoch, train.rows());
  }
}

}  // namespace hearth
