// Values of recipe keys that are more than a scalar: datasets, model shapes, questions, what is trained.
#pragma once

#include "trainer/recipe_fields.h"

namespace hearth {

/// `datasets`, `eval_dataset`: a path, a list of paths, a map or a list of maps.
FieldReading dataset_list(RecipeField<Recipe::Data, std::vector<Recipe::Dataset>> field);
/// Replaces names of another tool's registry (`dataset_dir`/dataset_info.json) by the datasets that they stand for, and
/// notes what they became.
void resolve_registry(RecipeDraft& draft);

/// `model_config`: keys of a config.json inline, or the path of one, which is read. Kept as JSON text with sorted keys. A key
/// that means nothing here is refused inline, and of a file noted and left out.
FieldReading model_shape(RecipeField<Recipe::Model, std::optional<std::string>> field);

/// `train_on`: a map.
FieldReading trained_parts(RecipeField<Recipe::Data, Recipe::TrainOn> field);
/// Spellings of other tools for train_on.prompt: a yes or no, or its opposite.
ReadKey trained_prompt(Reversed reversed);

/// `domain_qa`: a path, or a map of path and max_new_tokens.
FieldReading questions(RecipeField<Recipe::Eval, std::optional<Recipe::Questions>> field);

}  // namespace hearth
