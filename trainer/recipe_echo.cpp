// A recipe after it was read: written again, compared, set against a number of ranks.
#include <fmt/format.h>

#include "base/counted.h"
#include "base/error.h"
#include "trainer/recipe.h"
#include "trainer/recipe_keys.h"

namespace hearth {
namespace {

std::string commented(const Recipe& recipe, const RecipeKey& key) {
  const auto stated = recipe.stated_as.find(key.name);
  if (stated == recipe.stated_as.end()) return "  # default";
  return stated->second == key.name ? "" : fmt::format("  # stated as {}", stated->second);
}

const RecipeKey* working_key(std::string_view name) {
  for (const RecipeKey& key : recipe_keys()) {
    if (key.working() && key.name == name) return &key;
  }
  return nullptr;
}

/// No max_steps is more than any: the epochs say then where the run ends.
bool is_larger(const Difference& difference) {
  if (difference.before.empty() || difference.now.empty()) return difference.now.empty();
  return std::stod(difference.now) > std::stod(difference.before);
}

}  // namespace

bool Recipe::operator==(const Recipe& other) const {
  return model == other.model && method == other.method && data == other.data && train == other.train &&
         parallel == other.parallel && output == other.output && eval == other.eval;
}

std::string resolved_yaml(const Recipe& recipe) {
  return resolved_yaml(recipe, {});
}

std::string resolved_yaml(const Recipe& recipe, const Settled& settled) {
  std::string text = settled.ranks.empty() ? "" : fmt::format("# at this start: {}\n", settled.ranks);
  std::optional<RecipeSection> section;
  for (const RecipeKey& key : recipe_keys()) {
    if (!key.working()) continue;
    const auto value = key.field.write(recipe);
    const auto here = settled.values.find(key.name);
    if (!value && here == settled.values.end()) continue;
    if (section != key.section) text += fmt::format("{}:\n", name_of(key.section));
    section = key.section;
    if (!value) {
      text += fmt::format("  # {}: {}  (settled at this start)\n", key.name, here->second);
      continue;
    }
    // A block begins with a line end; the comment goes behind the key.
    const bool block = value->starts_with('\n');
    std::string comment = commented(recipe, key);
    if (here != settled.values.end() && here->second != *value)
      comment += fmt::format("{} at this start: {}", comment.empty() ? "  #" : ";", here->second);
    text += block ? fmt::format("  {}:{}{}\n", key.name, comment, *value)
                  : fmt::format("  {}: {}{}\n", key.name, *value, comment);
  }
  return text;
}

std::vector<Difference> differences(const Recipe& before, const Recipe& now) {
  std::vector<Difference> found;
  for (const RecipeKey& key : recipe_keys()) {
    if (!key.working()) continue;
    const std::string left = key.field.write(before).value_or("");
    const std::string right = key.field.write(now).value_or("");
    if (left != right) found.push_back({key.name, left, right});
  }
  return found;
}

bool may_change(std::string_view key) {
  const RecipeKey* found = working_key(key);
  return found != nullptr && found->change != RecipeKey::Change::never;
}

std::vector<Difference> forbidden_changes(const Recipe& before, const Recipe& now) {
  std::vector<Difference> forbidden;
  for (Difference& difference : differences(before, now)) {
    const RecipeKey::Change change = working_key(difference.key)->change;
    if (change == RecipeKey::Change::free) continue;
    if (change == RecipeKey::Change::larger && is_larger(difference)) continue;
    forbidden.push_back(std::move(difference));
  }
  return forbidden;
}

StepRows rows_of_first_start(const Recipe& recipe, int ranks) {
  const Recipe::Train& train = recipe.train;
  const std::int64_t together =
      train.per_device_train_batch_size * train.gradient_accumulation_steps.value_or(1) * ranks;
  StepRows rows;
  rows.rows = train.global_batch_size.value_or(together);
  rows.microbatch = train.per_device_train_batch_size;
  rows.microbatches = rows.rows / rows.microbatch;
  if (train.global_batch_size && train.gradient_accumulation_steps && rows.rows != together) {
    fail(Kind::usage,
         "global_batch_size: {}, but per_device_train_batch_size ({}) x gradient_accumulation_steps ({}) x {} make {}; "
         "leave one of them out",
         counted(rows.rows, "row"), train.per_device_train_batch_size, *train.gradient_accumulation_steps,
         counted(ranks, "rank"), together);
  }
  return rows;
}

}  // namespace hearth
