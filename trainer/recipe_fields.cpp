#include "trainer/recipe_fields.h"

#include <algorithm>
#include <charconv>

#include "trainer/recipe_nearest.h"

namespace hearth {
namespace {

template <class T>
std::optional<T> parsed(const YamlValue& value) {
  if (!value.is_scalar()) return std::nullopt;
  T number{};
  const char* end = value.text.data() + value.text.size();
  const auto [stopped, error] = std::from_chars(value.text.data(), end, number);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return number;
}

}  // namespace

std::optional<double> as_number(const YamlValue& value) {
  return parsed<double>(value);
}

std::optional<std::int64_t> as_whole(const YamlValue& value) {
  return parsed<std::int64_t>(value);
}

std::optional<bool> as_flag(const YamlValue& value) {
  if (!value.is_scalar()) return std::nullopt;
  std::string word = value.text;
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
  if (word == "true" || word == "yes" || word == "on") return true;
  if (word == "false" || word == "no" || word == "off") return false;
  return std::nullopt;
}

bool asks_nothing(const YamlValue& value) {
  if (value.is_null()) return true;
  if (value.is_list()) return value.items.empty();
  if (value.is_map()) return value.entries.empty();
  return value.text.empty() || value.text == "none" || value.text == "None" || as_flag(value) == false ||
         as_number(value) == 0.0;
}

bool refuse_value(RecipeDraft& draft, const Statement& statement, const std::string& accepts) {
  draft.complain(statement.value.line, fmt::format("{}: {} is not accepted here; accepted: {}", statement.spelling,
                                                   statement.value.shown(), accepts));
  return false;
}

void refuse_unknown_entries(RecipeDraft& draft, const YamlValue& map, const std::string& where,
                            const std::vector<std::string>& accepted) {
  for (const auto& [key, value] : map.entries) {
    if (std::find(accepted.begin(), accepted.end(), key.text) != accepted.end()) continue;
    const auto nearest = nearest_words(key.text, accepted);
    draft.complain(
        key.line, fmt::format("{}: unknown key `{}`; {}: {}", where, key.text, nearest.empty() ? "accepted" : "nearest",
                              listed(nearest.empty() ? accepted : nearest)));
  }
}

std::string NumberRange::words() const {
  std::string text = fmt::format("a number {} {}", least_included ? "of at least" : "above", least);
  if (std::isfinite(most)) text += fmt::format(" and {} {}", most_included ? "at most" : "below", most);
  return text;
}

bool refuse_word(RecipeDraft& draft, const Statement& statement, const std::string& accepts,
                 const std::vector<std::string>& accepted, const std::vector<RefusedWord>& refused) {
  if (!statement.value.is_scalar()) return refuse_value(draft, statement, accepts);
  for (const RefusedWord& word : refused) {
    if (word.word != statement.value.text) continue;
    draft.complain(statement.value.line, fmt::format("{}: {} {}; accepted: {}", statement.spelling,
                                                     statement.value.shown(), word.reason, accepts));
    return false;
  }
  const auto nearest = nearest_words(statement.value.text, accepted);
  return refuse_value(draft, statement,
                      nearest.empty() ? accepts : fmt::format("{} (nearest: {})", accepts, listed(nearest)));
}

std::string words_of(const std::vector<std::string>& words) {
  return listed(words);
}

}  // namespace hearth
