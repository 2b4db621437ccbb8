// How a field of a Recipe is read from a statement and written again, by its type.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "trainer/recipe_keys.h"

namespace hearth {

/// A scalar as a finite or infinite number, a whole number or a yes/no; nothing when it is none.
std::optional<double> as_number(const YamlValue& value);
std::optional<std::int64_t> as_whole(const YamlValue& value);
std::optional<bool> as_flag(const YamlValue& value);
/// null, `none`, `false`, `0` or empty text: asks for nothing.
bool asks_nothing(const YamlValue& value);

/// "`abc` is not accepted here; accepted: ...". Returns false.
bool refuse_value(RecipeDraft& draft, const Statement& statement, const std::string& accepts);
/// For each key of a map that is not among `accepted`: a complaint with the nearest one.
void refuse_unknown_entries(RecipeDraft& draft, const YamlValue& map, const std::string& where,
                            const std::vector<std::string>& accepted);

/// A field of a section of Recipe.
template <class S, class F>
struct RecipeField {
  S Recipe::*section;
  F S::*field;
  F& in(Recipe& recipe) const { return recipe.*section.*field; }
  const F& in(const Recipe& recipe) const { return recipe.*section.*field; }
};
template <class S, class F>
RecipeField<S, F> at(S Recipe::*section, F S::*field) {
  return {section, field};
}

template <class T>
struct PlainField {
  using Type = T;
  static constexpr bool optional = false;
};
template <class T>
struct PlainField<std::optional<T>> {
  using Type = T;
  static constexpr bool optional = true;
};

/// Writes a field through `text` unless it is an empty optional.
template <class S, class F, class Text>
WriteKey written(RecipeField<S, F> field, Text text) {
  return [field, text](const Recipe& recipe) -> std::optional<std::string> {
    if constexpr (PlainField<F>::optional) {
      if (!field.in(recipe)) return std::nullopt;
      return text(*field.in(recipe));
    } else {
      return text(field.in(recipe));
    }
  };
}

/// Sets an optional field to nothing when the statement says `none`.
template <class S, class F>
bool cleared(RecipeDraft& draft, const Statement& statement, RecipeField<S, F> field) {
  if constexpr (PlainField<F>::optional) {
    if (statement.value.is_scalar() && !statement.value.quoted && statement.value.text == "none") {
      field.in(draft.recipe) = std::nullopt;
      return true;
    }
  }
  return false;
}

/// A whole number from `least` to `most`.
template <class S, class F>
FieldReading whole(RecipeField<S, F> field, std::int64_t least,
                   std::int64_t most = std::numeric_limits<std::int64_t>::max()) {
  using Type = typename PlainField<F>::Type;
  std::string accepts = most == std::numeric_limits<std::int64_t>::max()
                            ? fmt::format("a whole number of at least {}", least)
                            : fmt::format("a whole number from {} to {}", least, most);
  ReadKey read = [field, least, most, accepts](RecipeDraft& draft, const Statement& statement) {
    if (cleared(draft, statement, field)) return true;
    const auto value = as_whole(statement.value);
    if (!value || *value < least || *value > most) return refuse_value(draft, statement, accepts);
    field.in(draft.recipe) = static_cast<Type>(*value);
    return true;
  };
  return {accepts, read, written(field, [](Type value) { return fmt::format("{}", value); })};
}

/// The numbers that a field accepts; NaN and infinity never.
struct NumberRange {
  double least = 0;
  bool least_included = true;
  double most = std::numeric_limits<double>::infinity();
  bool most_included = false;

  bool holds(double value) const {
    return std::isfinite(value) && (least_included ? value >= least : value > least) &&
           (most_included ? value <= most : value < most);
  }
  std::string words() const;
};

template <class S, class F>
FieldReading number(RecipeField<S, F> field, NumberRange range) {
  ReadKey read = [field, range](RecipeDraft& draft, const Statement& statement) {
    if (cleared(draft, statement, field)) return true;
    const auto value = as_number(statement.value);
    if (!value || !range.holds(*value)) return refuse_value(draft, statement, range.words());
    field.in(draft.recipe) = *value;
    return true;
  };
  return {range.words(), read, written(field, [](double value) { return fmt::format("{}", value); })};
}

inline const std::string flag_words = "true or false";

/// true or false; `Reversed::yes` for a spelling that says the opposite.
enum class Reversed { no, yes };
template <class S>
FieldReading flag(RecipeField<S, bool> field, Reversed reversed = Reversed::no) {
  ReadKey read = [field, reversed](RecipeDraft& draft, const Statement& statement) {
    const auto value = as_flag(statement.value);
    if (!value) return refuse_value(draft, statement, flag_words);
    field.in(draft.recipe) = *value != (reversed == Reversed::yes);
    return true;
  };
  return {flag_words, read, written(field, [](bool value) { return std::string(value ? "true" : "false"); })};
}

/// Text that is not empty; `words` says what it means ("a folder").
template <class S, class F>
FieldReading text(RecipeField<S, F> field, const std::string& words) {
  ReadKey read = [field, words](RecipeDraft& draft, const Statement& statement) {
    if (cleared(draft, statement, field)) return true;
    if (!statement.value.is_scalar() || statement.value.text.empty()) return refuse_value(draft, statement, words);
    field.in(draft.recipe) = statement.value.text;
    return true;
  };
  return {words, read, written(field, [](const std::string& value) { return yaml_text(value); })};
}

/// A value out of a closed set, under its first word; further words for the same value are other tools'.
template <class T>
struct Word {
  std::string word;
  T value;
};
/// A word that is understood and refused, and why.
struct RefusedWord {
  std::string word;
  std::string reason;
};

/// Complains about a word that is not accepted, by its own reason or with the nearest. Returns false.
bool refuse_word(RecipeDraft& draft, const Statement& statement, const std::string& accepts,
                 const std::vector<std::string>& accepted, const std::vector<RefusedWord>& refused);
/// "a, b or c" of the first word of each value.
std::string words_of(const std::vector<std::string>& words);

template <class S, class F>
FieldReading one_of(RecipeField<S, F> field, std::vector<Word<typename PlainField<F>::Type>> words,
                    std::vector<RefusedWord> refused = {}) {
  using Type = typename PlainField<F>::Type;
  const auto canonical = [words](Type value) {
    for (const auto& word : words) {
      if (word.value == value) return word.word;
    }
    return std::string();
  };
  std::vector<std::string> first_words;
  std::vector<std::string> all_words;
  for (const auto& word : words) {
    if (canonical(word.value) == word.word) first_words.push_back(word.word);
    all_words.push_back(word.word);
  }
  std::string accepts = words_of(first_words);
  ReadKey read = [=](RecipeDraft& draft, const Statement& statement) {
    for (const auto& word : words) {
      if (statement.value.is_scalar() && statement.value.text == word.word) {
        field.in(draft.recipe) = word.value;
        return true;
      }
    }
    return refuse_word(draft, statement, accepts, all_words, refused);
  };
  return {accepts, read, written(field, canonical)};
}

}  // namespace hearth
