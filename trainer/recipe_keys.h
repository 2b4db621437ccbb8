// The one table of recipe keys: reading, echo, help and tests all follow from it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/recipe.h"
#include "trainer/recipe_yaml.h"

namespace hearth {

enum class RecipeSection { model, method, data, train, parallel, output, eval, privacy, distill };
inline constexpr int recipe_sections = 9;
std::string_view name_of(RecipeSection section);
std::optional<RecipeSection> recipe_section_named(std::string_view name);

/// One key with its value, as somebody wrote it.
struct Statement {
  std::string spelling;  // "lr", "optimizer.lr"
  YamlValue value;
  int line = 0;
};

/// A recipe while it is being read.
struct RecipeDraft {
  Recipe recipe;
  Mistakes mistakes;
  std::map<std::string, Statement> stated;      // by canonical key
  std::set<std::string, std::less<>> assigned;  // canonical keys whose statement set the field
  std::set<std::string, std::less<>> meant;     // canonical keys that a misspelt one probably stands for
  std::optional<double> min_lr;                 // a rate, a ratio once the peak is known
  std::optional<std::int64_t> num_decay_steps;  // steps, a ratio once max_steps is known
  std::optional<std::string> dataset_dir;       // of another tool's registry of datasets

  bool has(std::string_view key) const { return assigned.contains(key); }
  void complain(int line, std::string text) { mistakes.push_back({line, std::move(text)}); }
  /// About a key: at its own line where it was stated.
  void complain(const std::string& key, std::string text, Kind kind = Kind::usage);
  void note(std::string text) { recipe.notes.push_back(std::move(text)); }
};

/// Reads a statement into the draft. True: the field has its value now. False: complained, or nothing to set.
using ReadKey = std::function<bool(RecipeDraft&, const Statement&)>;
/// The value as YAML, on one line or as an indented block that begins with a line end; nothing when it is not set.
using WriteKey = std::function<std::optional<std::string>(const Recipe&)>;

struct KeyAlias {
  std::string spelling;
  ReadKey read = {};                          // empty: as the key itself
  std::optional<RecipeSection> only_in = {};  // this spelling counts only inside that section
  std::string other = {};                     // canonical name of a second key that this spelling states too
  ReadKey read_other = {};                    // that key's part of the value

  KeyAlias(const char* word)
      : spelling(word) {}  // NOLINT(google-explicit-constructor): rows of the table read as words
  KeyAlias(const char* word, ReadKey how) : spelling(word), read(std::move(how)) {}
  KeyAlias(const char* word, RecipeSection section) : spelling(word), only_in(section) {}
  KeyAlias(const char* word, ReadKey how, const char* second, ReadKey how_second)
      : spelling(word), read(std::move(how)), other(second), read_other(std::move(how_second)) {}
};

/// How a field is read and written, and what it accepts in words.
struct FieldReading {
  std::string accepts;
  ReadKey read;
  WriteKey write;
};

struct RecipeKey {
  enum class Change { never, free, larger };  // when a run is continued

  RecipeSection section = RecipeSection::model;
  std::string name;
  std::vector<KeyAlias> aliases;
  FieldReading field;         // without `write`: no field; refused by name, or without effect here
  std::string meaning;        // with units; for a refused key, the capability that it belongs to
  std::string default_words;  // empty: what the field of an empty Recipe holds
  Change change = Change::never;

  bool working() const { return static_cast<bool>(field.write); }
};

/// The whole table, in the order of the sections.
const std::vector<RecipeKey>& recipe_keys();

/// A key under one of its spellings.
struct FoundKey {
  const RecipeKey* key = nullptr;
  const KeyAlias* alias = nullptr;  // null: the canonical name
};
/// Every key that a statement under this spelling states: `found` itself, and the second one of an alias for two.
std::vector<FoundKey> keys_stated(const FoundKey& found);
/// How a statement of this key under this spelling is read.
const ReadKey& reading_of(const FoundKey& found);
/// By any spelling that counts in `section` (nothing: the top level), wherever the key itself belongs.
std::optional<FoundKey> find_key(std::string_view spelling, std::optional<RecipeSection> section);
/// "`learning_rate` (section train)", "`lr`, for learning_rate (section train)", joined by "or"; empty when none is
/// near. Canonical names of what was suggested are added to `meant`.
std::string suggest_key(std::string_view spelling, bool sections_too, std::set<std::string, std::less<>>& meant);

/// The parts of the table.
std::vector<RecipeKey> model_and_data_keys();
std::vector<RecipeKey> train_keys();
std::vector<RecipeKey> output_keys();
std::vector<RecipeKey> later_keys();

}  // namespace hearth
