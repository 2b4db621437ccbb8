#include "trainer/recipe.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "trainer/recipe_keys.h"
#include "trainer/recipe_nearest.h"
#include "trainer/recipe_resolve.h"
#include "trainer/recipe_values.h"

namespace hearth {
namespace {

/// Collects the statements of a file and of the command line under their canonical keys, then reads them.
class Reader {
 public:
  void add_file(const YamlValue& root) {
    if (root.is_null()) {
      if (draft_.mistakes.empty()) draft_.complain(0, "the recipe is empty");
      return;
    }
    if (!root.is_map()) {
      draft_.complain(root.line, fmt::format("a recipe is a map of keys, not {}", root.shown()));
      return;
    }
    for (const auto& [key, value] : root.entries) add_top(key, value);
  }

  void add_override(const std::string& text, int line) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      draft_.complain(line, "an override is written key=value or section.key=value");
      return;
    }
    const std::size_t mistakes = draft_.mistakes.size();
    YamlValue value = read_yaml(text.substr(equals + 1), draft_.mistakes, line);
    if (draft_.mistakes.size() > mistakes) return;  // what the file says stands, so that nothing is said to be missing
    if (value.line == 0) value.line = line;
    std::vector<std::string> parts = split(text.substr(0, equals));
    std::optional<RecipeSection> section;
    if (parts.size() > 1) section = recipe_section_named(parts[0]);
    if (section) parts.erase(parts.begin());
    override_key(parts, section, std::move(value), line);
  }

  RecipeDraft finish(RecipeFiles files) {
    const bool unreadable = statements_.empty() && !draft_.mistakes.empty();
    if (unreadable) return std::move(draft_);
    for (auto& [name, entry] : statements_) draft_.stated[name] = entry.statement;
    for (const auto& [name, entry] : statements_) read(name, entry);
    resolve_registry(draft_);
    fill_in(draft_);
    check_together(draft_);
    if (files == RecipeFiles::checked) check_files(draft_);
    return std::move(draft_);
  }

  Mistakes& mistakes() { return draft_.mistakes; }

 private:
  struct Entry {
    FoundKey found;
    Statement statement;
    bool overridden = false;
  };

  static std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> parts(1);
    for (const char letter : path) {
      if (letter == '.') {
        parts.emplace_back();
      } else {
        parts.back() += letter;
      }
    }
    return parts;
  }

  void add_top(const YamlValue& key, const YamlValue& value) {
    const auto section = recipe_section_named(key.text);
    if (section && (value.is_map() || value.is_null())) {
      add_section(*section, value);
    } else if (const auto found = find_key(key.text, std::nullopt)) {
      add(*found, {key.text, value, key.line}, std::nullopt);
    } else if (section) {
      draft_.complain(key.line, fmt::format("{} is a section and holds keys, not {}", key.text, value.shown()));
    } else {
      add_unknown(key, value, std::nullopt);
    }
  }

  void add_section(RecipeSection section, const YamlValue& map) {
    for (const auto& [key, value] : map.entries) {
      if (const auto found = find_key(key.text, section)) {
        add(*found, {key.text, value, key.line}, section);
      } else {
        add_unknown(key, value, section);
      }
    }
  }

  void add_unknown(const YamlValue& key, const YamlValue& value, std::optional<RecipeSection> section) {
    complain_unknown(key.shown(), key.text, key.line, section);
    if (section || !value.is_map()) return;
    // What stands below a misspelt section is read all the same, so that its own mistakes are told too.
    for (const std::string& word : nearest_words(key.text, section_words())) {
      add_section(*recipe_section_named(word), value);
      return;
    }
  }

  static std::vector<std::string> section_words() {
    std::vector<std::string> words;
    for (int i = 0; i < recipe_sections; ++i) words.emplace_back(name_of(static_cast<RecipeSection>(i)));
    return words;
  }

  void complain_unknown(const std::string& shown, const std::string& word, int line,
                        std::optional<RecipeSection> section) {
    const std::string nearest = suggest_key(word, !section, draft_.meant);
    draft_.complain(line, fmt::format("unknown key {}{}; {}{}", shown,
                                      section ? fmt::format(" in section {}", name_of(*section)) : "",
                                      nearest.empty() ? "no accepted key is near it" : "nearest: ", nearest));
  }

  void add(const FoundKey& found, const Statement& statement, std::optional<RecipeSection> section) {
    if (found.alias != nullptr && statement.spelling == "optimizer" && statement.value.is_map()) {
      for (const auto& [key, value] : statement.value.entries) add_optimizer(key, value, section);
      return;
    }
    check_section(found, statement, section);
    for (const FoundKey& key : keys_stated(found)) state(key, statement);
  }

  void state(const FoundKey& found, const Statement& statement) {
    const std::string name = slot(found, statement.spelling);
    const auto before = statements_.find(name);
    if (before == statements_.end()) {
      statements_[name] = {found, statement};
      return;
    }
    const Statement& first = before->second.statement;
    draft_.complain(statement.line, fmt::format("`{}` states {}, which line {} states already as `{}`; keep one of the "
                                                "two",
                                                statement.spelling, name, first.line, first.spelling));
  }

  void add_optimizer(const YamlValue& key, const YamlValue& value, std::optional<RecipeSection> section) {
    const std::string spelling = "optimizer." + key.text;
    if (const auto found = find_key(spelling, section)) {
      add(*found, {spelling, value, key.line}, section);
    } else {
      complain_unknown(fmt::format("`{}`", spelling), spelling, key.line, section);
    }
  }

  void check_section(const FoundKey& found, const Statement& statement, std::optional<RecipeSection> section) {
    if (!section || !found.key->working() || found.key->section == *section) return;
    draft_.complain(statement.line, fmt::format("`{}` belongs to section {}, not {}; move it there", statement.spelling,
                                                name_of(found.key->section), name_of(*section)));
  }

  /// Several spellings of a refused key may stand side by side: each is answered by itself.
  static std::string slot(const FoundKey& found, const std::string& spelling) {
    return found.key->working() ? found.key->name : spelling;
  }

  void override_key(std::vector<std::string> parts, std::optional<RecipeSection> section, YamlValue value, int line) {
    std::string spelling = parts[0];
    std::size_t used = 1;
    if (parts.size() > 1 && find_key(parts[0] + "." + parts[1], section)) {
      spelling += "." + parts[1];
      used = 2;
    }
    const auto found = find_key(spelling, section);
    if (!found) {
      complain_unknown(fmt::format("`{}`", spelling), spelling, line, section);
      return;
    }
    const Statement statement{spelling, std::move(value), line};
    check_section(*found, statement, section);
    parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(used));
    for (const FoundKey& key : keys_stated(*found)) {
      Entry& entry = statements_[slot(key, spelling)];
      if (parts.empty()) {
        replace(entry, key, statement);
      } else {
        reach(entry, key, statement, parts);
      }
    }
  }

  void replace(Entry& entry, const FoundKey& found, const Statement& statement) {
    if (entry.overridden) {
      draft_.complain(statement.line,
                      fmt::format("`{}` is overridden already; keep one of the two", statement.spelling));
    }
    entry = {found, statement, true};
  }

  /// Sets a value below a key: an entry of its map, an item of its list.
  void reach(Entry& entry, const FoundKey& found, const Statement& statement, const std::vector<std::string>& parts) {
    if (entry.found.key == nullptr) entry = {found, {statement.spelling, {}, statement.line}};
    YamlValue* place = &entry.statement.value;
    for (const std::string& part : parts) {
      place = below(*place, part, statement.line);
      if (place != nullptr) continue;
      draft_.complain(statement.line,
                      fmt::format("`{}` does not lead to a place in {}", fmt::join(parts, "."), found.key->name));
      return;
    }
    *place = statement.value;
  }

  static YamlValue* below(YamlValue& value, const std::string& part, int line) {
    if (value.is_list()) {
      const std::size_t index = part.size() < 6 && !part.empty() && std::all_of(part.begin(), part.end(), ::isdigit)
                                    ? std::stoul(part)
                                    : value.items.size();
      return index < value.items.size() ? &value.items[index] : nullptr;
    }
    if (value.is_scalar() || part.empty()) return nullptr;
    value.kind = YamlValue::Kind::map;
    value.line = line;
    if (YamlValue* found = value.find(part)) return found;
    YamlValue key;
    key.kind = YamlValue::Kind::scalar;
    key.text = part;
    key.line = line;
    value.entries.emplace_back(std::move(key), YamlValue());
    return &value.entries.back().second;
  }

  void read(const std::string& name, const Entry& entry) {
    const RecipeKey& key = *entry.found.key;
    const Statement& statement = entry.statement;
    if (statement.value.is_null() && key.working()) return;  // as if it were not there
    if (!reading_of(entry.found)(draft_, statement) || !key.working()) return;
    draft_.assigned.insert(name);
    draft_.recipe.stated_as[name] = statement.spelling;
  }

  RecipeDraft draft_;
  std::map<std::string, Entry> statements_;  // by canonical key
};

std::string placed(const Mistake& complaint, const std::string& name, const std::vector<std::string>& overrides) {
  if (complaint.line > 0) return fmt::format("{}:{}: {}", name, complaint.line, complaint.text);
  if (complaint.line == 0) return fmt::format("{}: {}", name, complaint.text);
  return fmt::format("--set {}: {}", overrides[static_cast<std::size_t>(-1 - complaint.line)], complaint.text);
}

/// By line; then the command line in its order; then what concerns the whole.
int place_in_order(const Mistake& complaint) {
  constexpr int after_lines = 1 << 28;
  if (complaint.line > 0) return complaint.line;
  return complaint.line == 0 ? 2 * after_lines : after_lines - complaint.line;
}

/// Of all mistakes together: that of the recipe itself, else that of a file which may not be looked at.
Kind kind_of(const Mistakes& mistakes) {
  for (const Kind kind : {Kind::usage, Kind::machine}) {
    if (std::any_of(mistakes.begin(), mistakes.end(), [&](const Mistake& one) { return one.kind == kind; }))
      return kind;
  }
  return Kind::data;
}

[[noreturn]] void fail_with(Mistakes mistakes, const std::string& name, const std::vector<std::string>& overrides) {
  std::stable_sort(mistakes.begin(), mistakes.end(), [](const Mistake& left, const Mistake& right) {
    return place_in_order(left) < place_in_order(right);
  });
  std::string text;
  if (mistakes.size() > 1) text = fmt::format("{}: {} mistakes\n", name, mistakes.size());
  for (std::size_t i = 0; i < mistakes.size(); ++i) {
    text += (i > 0 ? "\n" : "") + placed(mistakes[i], name, overrides);
  }
  throw Error(kind_of(mistakes), text);
}

}  // namespace

Recipe parse_recipe(std::string_view text, const std::string& name, const std::vector<std::string>& overrides,
                    RecipeFiles files) {
  Reader reader;
  reader.add_file(read_yaml(text, reader.mistakes()));
  for (std::size_t i = 0; i < overrides.size(); ++i) reader.add_override(overrides[i], -1 - static_cast<int>(i));
  RecipeDraft draft = reader.finish(files);
  if (!draft.mistakes.empty()) fail_with(std::move(draft.mistakes), name, overrides);
  return std::move(draft.recipe);
}

Recipe read_recipe(const Path& path, const std::vector<std::string>& overrides, RecipeFiles files) {
  std::string text;
  try {
    text = read_text(path);
  } catch (const Error& error) {
    const Kind kind = error.kind() == Kind::machine ? Kind::machine : Kind::usage;  // no permission, or no such file
    fail(kind, "the recipe cannot be read: {}", error.text());
  }
  return parse_recipe(text, path.string(), overrides, files);
}

}  // namespace hearth
