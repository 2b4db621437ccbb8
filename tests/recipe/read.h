// Recipes from text, for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "trainer/recipe.h"

namespace hearth::test {

/// What a recipe needs at least; a test adds lines.
inline const std::string least =
    "model_name_or_path: ./model\n"
    "finetuning_type: full\n"
    "datasets: ./corpus\n"
    "output_dir: runs/one\n";
inline const std::string least_from_nothing =
    "model_config: {model_type: llama, hidden_size: 64}\n"
    "stage: pt\n"
    "datasets: ./corpus\n"
    "output_dir: runs/one\n";

inline Recipe read(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse_recipe(text, "r.yaml", overrides, RecipeFiles::unchecked);
}

/// The text of the error that reading gives; empty when it gives none.
inline std::string mistakes(const std::string& text, const std::vector<std::string>& overrides = {},
                            RecipeFiles files = RecipeFiles::unchecked, Kind kind = Kind::usage) {
  try {
    parse_recipe(text, "r.yaml", overrides, files);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.text();
    EXPECT_FALSE(error.text().empty());
    return error.text();
  }
  return {};
}

/// How many mistakes an error text tells: one a line, under a heading when there are several.
inline int count(const std::string& text) {
  if (text.empty()) return 0;
  int lines = 1;
  for (const char letter : text) lines += letter == '\n' ? 1 : 0;
  return lines == 1 ? 1 : lines - 1;
}

}  // namespace hearth::test
