// What a recipe leaves to the model, the data and the ranks, as a start settled it.
#pragma once

#include "model/config.h"
#include "parallel/mesh.h"
#include "trainer/recipe.h"

namespace hearth {

/// What is known once the model, the rows and the ranks are.
struct StartFacts {
  const ModelConfig& config;
  const MeshShape& mesh;
  StepRows step;
  std::int64_t steps = 0;       // of the whole run
  std::int64_t cutoff_len = 0;  // of this run's rows
  int threads = 1;              // of a rank
};

/// For resolved_yaml: every key whose value the start found.
Settled settled_at_start(const Recipe& recipe, const StartFacts& facts);

}  // namespace hearth
