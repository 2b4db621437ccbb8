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
  std::vector<std::string> notes;          // what a person should know about the base: its config.json, its checkpoints
  std::shared_ptr<const Sources> sources;  // of the datasets, where a tokenizer was trained on them; else null
};

/// Opens the model of a recipe, or makes one of its model_config; trains a tokenizer first where the recipe asks for
/// one, in the run's folder (part 0 does, the others wait; one that is there already is taken). Collective. Throws
/// Kind::usage and Kind::data naming key and values.
RunModel run_model(const Recipe& recipe, const Together& together);

/// The model of a recipe by its config.json alone: weights and texts need not be there. A vocabulary that is to be trained
/// counts as whole. Of a run: that of its newest good checkpoint. Throws Kind::data.
ModelConfig config_of(const Recipe& recipe);

/// The same model as far as it is without reading texts: as run_model, but for a vocabulary that is to be trained. Alone.
RunModel model_without_texts(const Recipe& recipe);

/// Whether the questions of domain_qa can be tokenised. Throws Kind::usage.
void check_questions(const Recipe& recipe, const RunModel& model);

}  // namespace hearth
