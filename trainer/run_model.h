// Which model, and which tokenizer, a recipe trains.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/sources.h"
#include "data/together.h"
#include "trainer/opened_model.h"
#include "trainer/recipe.h"

namespace hearth {

struct RunModel {
  ModelConfig config;
  std::unique_ptr<OpenedModel> base;       // null when weights are fresh
  std::optional<Tokenizer> tokenizer;      // nothing: rows bring their ids
  CarriedFiles files;                      // what checkpoints and exports carry along, config.json included
  std::vector<std::string> notes;          // what a person should know about the base
  std::shared_ptr<const Sources> sources;  // of the datasets, where a tokenizer was trained on them; else null
};

/// Opens the model of a recipe, or makes one of its model_config; trains a tokenizer first where the recipe asks for
/// one, in the run's folder (part 0 does, the others wait; one that is there already is taken). Collective. Throws
/// Kind::usage and Kind::data naming key and values.
RunModel run_model(const Recipe& recipe, const Together& together);

}  // namespace hearth
