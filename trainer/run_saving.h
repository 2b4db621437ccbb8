// The checkpoints of one run, each the child of the one before.
#pragma once

#include <string>
#include <vector>

#include "trainer/checkpoint.h"
#include "trainer/groups.h"
#include "trainer/recipe.h"
#include "trainer/run_model.h"

namespace hearth {

class RunSaving {
 public:
  /// `parent`: digest of the checkpoint that the run goes on from; empty: none. The recipe must outlive it.
  RunSaving(const Recipe& recipe, const Transformer& transformer, const RunModel& model, std::string program,
            std::string parent);

  /// A checkpoint of `state`, whose recipe is carried along. Collective; the same result on every rank.
  SaveResult save(Communicator& world, const RunState& state, const Groups& groups);
  /// Whether there is one, of this attempt or one before.
  bool any() const { return !options_.parent.empty(); }

 private:
  const Recipe& recipe_;
  CarriedFiles files_;
  SaveOptions options_;
};

}  // namespace hearth
