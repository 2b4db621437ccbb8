#include "trainer/recipe_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "trainer/recipe_nearest.h"

namespace hearth {
namespace {

constexpr std::array<std::string_view, recipe_sections> section_names = {
    "model", "method", "data", "train", "parallel", "output", "eval", "privacy", "distill"};

std::vector<RecipeKey> all_keys() {
  std::vector<RecipeKey> keys;
  for (auto part : {model_and_data_keys, train_keys, output_keys, later_keys}) {
    for (RecipeKey& key : part()) keys.push_back(std::move(key));
  }
  return keys;
}

bool matches(const std::string& name, std::string_view spelling) {
  if (name.ends_with('*')) return spelling.starts_with(std::string_view(name).substr(0, name.size() - 1));
  return name == spelling;
}

/// What a suggestion says about a key under one of its spellings.
std::string suggestion(const FoundKey& found) {
  const std::string_view section = name_of(found.key->section);
  if (found.alias == nullptr) return fmt::format("`{}` (section {})", found.key->name, section);
  return fmt::format("`{}`, for {} (section {})", found.alias->spelling, found.key->name, section);
}

std::string default_of(const RecipeKey& key) {
  if (!key.default_words.empty()) return key.default_words;
  return key.field.write(Recipe()).value_or("none");
}

std::string described(const RecipeKey& key) {
  std::vector<std::string> aliases;
  for (const KeyAlias& alias : key.aliases) aliases.push_back(alias.spelling);
  std::string text = fmt::format("  {}\n", key.name);
  text += fmt::format("      {}\n", key.meaning);
  if (key.working()) text += fmt::format("      default: {}\n      accepts: {}\n", default_of(key), key.field.accepts);
  if (!aliases.empty()) text += fmt::format("      also spelt: {}\n", fmt::join(aliases, ", "));
  return text;
}

}  // namespace

std::string_view name_of(RecipeSection section) {
  return section_names[static_cast<std::size_t>(section)];
}

std::optional<RecipeSection> recipe_section_named(std::string_view name) {
  for (std::size_t i = 0; i < section_names.size(); ++i) {
    if (section_names[i] == name) return static_cast<RecipeSection>(i);
  }
  return std::nullopt;
}

void RecipeDraft::complain(const std::string& key, std::string text, Kind kind) {
  const auto found = stated.find(key);
  mistakes.push_back({found == stated.end() ? 0 : found->second.line, std::move(text), kind});
}

const std::vector<RecipeKey>& recipe_keys() {
  static const std::vector<RecipeKey> keys = all_keys();
  return keys;
}

std::optional<FoundKey> find_key(std::string_view spelling, std::optional<RecipeSection> section) {
  std::optional<FoundKey> found;
  for (const RecipeKey& key : recipe_keys()) {
    if (matches(key.name, spelling) && !found) found = FoundKey{&key, nullptr};
    for (const KeyAlias& alias : key.aliases) {
      if (alias.spelling != spelling) continue;
      if (alias.only_in && alias.only_in == section) return FoundKey{&key, &alias};
      if (!alias.only_in && !found) found = FoundKey{&key, &alias};
    }
  }
  return found;
}

std::vector<FoundKey> keys_stated(const FoundKey& found) {
  std::vector<FoundKey> keys = {found};
  if (found.alias == nullptr || found.alias->other.empty()) return keys;
  keys.push_back({find_key(found.alias->other, std::nullopt)->key, found.alias});
  return keys;
}

const ReadKey& reading_of(const FoundKey& found) {
  if (found.alias == nullptr) return found.key->field.read;
  if (found.alias->other == found.key->name) return found.alias->read_other;
  return found.alias->read ? found.alias->read : found.key->field.read;
}

std::string suggest_key(std::string_view spelling, bool sections_too, std::set<std::string, std::less<>>& meant) {
  std::vector<std::string> accepted;
  if (sections_too) accepted.assign(section_names.begin(), section_names.end());
  for (const RecipeKey& key : recipe_keys()) {
    if (!key.name.ends_with('*')) accepted.push_back(key.name);
    for (const KeyAlias& alias : key.aliases) {
      if (!alias.only_in) accepted.push_back(alias.spelling);
    }
  }
  std::vector<std::string> suggestions;
  for (const std::string& word : nearest_words(spelling, accepted)) {
    const auto found = find_key(word, std::nullopt);
    if (found) meant.insert(found->key->name);
    const bool section = sections_too && recipe_section_named(word).has_value();
    std::string text = section ? fmt::format("the section `{}`", word) : suggestion(*found);
    if (std::find(suggestions.begin(), suggestions.end(), text) == suggestions.end()) {
      suggestions.push_back(std::move(text));
    }
  }
  return listed(suggestions);
}

std::string describe_keys() {
  std::string text;
  for (std::size_t i = 0; i < section_names.size(); ++i) {
    std::string refused;
    text += fmt::format("{}{}\n", i == 0 ? "" : "\n", section_names[i]);
    for (const RecipeKey& key : recipe_keys()) {
      if (key.section == static_cast<RecipeSection>(i)) (key.working() ? text : refused) += described(key);
    }
    if (!refused.empty()) text += "  -- understood, and refused or without effect --\n" + refused;
  }
  return text;
}

}  // namespace hearth
