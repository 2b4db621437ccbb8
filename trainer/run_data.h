// From a recipe's data section to what data prepares.
#pragma once

#include <optional>

#include "data/prepare.h"
#include "data/tokenizer/tokenizer.h"
#include "trainer/recipe.h"
#include "trainer/run_model.h"

namespace hearth {

std::vector<DatasetSource> data_sources(const std::vector<Recipe::Dataset>& datasets, const Recipe& recipe);
/// Tokens of a row. Throws Kind::usage when the recipe asks for more than the model takes.
std::int64_t cutoff_len(const Recipe& recipe, const ModelConfig& config);
/// What prepare() is asked for. cutoff_len is resolved against the model.
DataOptions data_options(const Recipe& recipe, const ModelConfig& config);
/// The training rows, and the held-out ones. Collective.
Prepared prepare_data(const Recipe& recipe, const RunModel& model, const Together& together);
/// The questions of domain_qa. Collective. REQUIRES: the recipe has some.
Prepared prepare_questions(const Recipe& recipe, const RunModel& model, const Together& together);
/// Questions with answers from a file of prompt/completion rows, one row each. Collective. Throws Kind::data when one
/// does not fit `cutoff_len` tokens.
Prepared prepare_questions(const Path& path, std::int64_t cutoff_len, const Path& cache_dir, const Tokenizer& tokenizer,
                           const Together& together);

}  // namespace hearth
