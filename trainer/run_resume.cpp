#include "trainer/run_resume.h"

#include <nlohmann/json.hpp>

#include "trainer/recipe_step.h"

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
    const std::string what = state.rows_of_epoch == train.rows()
                                 ? fmt::format("{} rows as then, but the texts or the tokenizer differ", train.rows())
                                 : fmt::format("{} rows then, {} now", state.rows_of_epoch, train.rows());
    fail(Kind::data,
         "the data changed since this run began ({}): put the files back, or begin a new run in another output_dir",
         what);
  }
}

std::vector<std::string> step_notes(const Recipe& recipe, const RunState& state, int data_ranks) {
  const bool stated = recipe.stated_as.contains("per_device_train_batch_size") ||
                      recipe.stated_as.contains("gradient_accumulation_steps");
  const std::int64_t per_device = recipe.train.per_device_train_batch_size;
  const std::int64_t rounds = recipe.train.gradient_accumulation_steps.value_or(1);
  const std::int64_t rows = state.microbatches * state.microbatch_rows;
  const bool fixed = recipe.train.global_batch_size && !recipe.train.gradient_accumulation_steps;
  if (!stated || fixed || per_device * rounds * data_ranks == rows) return {};
  return {
      fmt::format("a step keeps its {} rows, which this run's first start fixed: that per_device_train_batch_size ({}) "
                  "x gradient_accumulation_steps ({}) x {} data ranks make {} has no effect now",
                  rows, per_device, rounds, data_ranks, per_device * rounds * data_ranks)};
}

namespace {

std::string note_of(const std::vector<std::string>& kinds) {
  for (std::size_t part = 1; part < kinds.size(); ++part) {
    if (kinds[part] == kinds[0]) continue;
    return fmt::format(
        "ranks compute on different kinds of processor (rank 0: {}; rank {}: {}): the result is right, but "
        "not the same bits on other ranks",
        kinds[0], part, kinds[part]);
  }
  return "";
}

}  // namespace

std::string note_of_kinds(const Together& together, const std::string& kind) {
  return note_of(together.gather(kind));
}

std::vector<std::string> device_notes(const Together& together, const std::string& kind, RunState& state) {
  std::vector<std::string> notes;
  const std::vector<std::string> kinds = together.gather(kind);
  if (std::string note = note_of(kinds); !note.empty()) notes.push_back(std::move(note));
  const std::string& first = kinds.front();
  if (first.empty()) return notes;
  nlohmann::json& known = state.more["devices"];
  if (!known.is_array()) known = nlohmann::json::array();
  if (!known.empty() && known.back() == first) return notes;
  if (!known.empty()) {
    notes.push_back(fmt::format("this run was computed on {} so far and continues on {}: correctly, but not to the bit",
                                known.back().is_string() ? known.back().get<std::string>() : known.back().dump(),
                                first));
  }
  known.push_back(first);
  return notes;
}

std::optional<Bf16Products> products_of_run(const Recipe& recipe, const RunState* state, std::string& changed) {
  const std::optional<Bf16Products> stated = products_of(recipe);
  if (state == nullptr || recipe.train.dtype != Dtype::bf16) return stated;
  const bool native = state->more.value("bf16_products", "widened") == "native";
  const Bf16Products before = native ? Bf16Products::native : Bf16Products::widened;
  if (stated && *stated != before) {
    changed = fmt::format(
        "this run made its bf16 products {} and goes on with {} ones: the result is right, but not the bits of a run "
        "that "
        "kept its way",
        name_of(before), name_of(*stated));
  }
  return stated.value_or(before);
}

}  // namespace hearth
