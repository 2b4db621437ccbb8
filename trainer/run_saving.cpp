#include "trainer/run_saving.h"

#include <utility>

#include "trainer/weights.h"

namespace hearth {

RunSaving::RunSaving(const Recipe& recipe, const Transformer& transformer, const RunModel& model, std::string program,
                     std::string parent)
    : recipe_(recipe), files_(model.files) {
  options_.program = std::move(program);
  options_.parent = std::move(parent);
  options_.limit = recipe.output.save_total_limit;
  for (const Parameter& parameter : transformer.parameters()) options_.parameters.push_back(parameter.name);
}

SaveResult RunSaving::save(Communicator& world, const RunState& state, const Groups& groups) {
  const bool moments = !recipe_.output.save_only_model;
  CarriedFiles files = files_;
  files.emplace_back("recipe.yaml", state.recipe);
  SaveResult result =
      save_checkpoint(world, recipe_.output.output_dir, state, owned_pieces(groups, moments), files, options_);
  if (result.committed) options_.parent = result.digest;
  return result;
}

}  // namespace hearth
