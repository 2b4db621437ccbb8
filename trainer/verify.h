// Whether a mesh gives what one rank gives: on the user's own machines, for the user's own recipe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/verify_compare.h"

namespace hearth {

struct VerifyReport {
  VerifyPlan plan;
  int ranks = 1;
  std::vector<VerifyBounds> bounds;  // by dtype, f32 first
  std::vector<VerifyCheck> checks;   // of each dtype all
  /// After a failure: the axes that fail when the model runs along them alone ("tensor"), else pairs of axes
  /// ("data x tensor"), else nothing: only together.
  std::vector<std::string> axes;

  bool good() const;
  /// The check to name first, of those that fail: gradients, else weights, else a number of the step; null when good.
  const VerifyCheck* worst() const;
};

/// Makes the device of this rank; called once on every rank, at the same place.
using MakeBackend = std::function<std::unique_ptr<Backend>()>;

/// Runs a small copy of `config`'s model (see VerifyPlan) on the first rank alone and on all ranks of `world` as the
/// recipe says, in f32 and, where the recipe says so, in bf16, and compares. Collective; the same report on every rank.
/// Nothing is read or written. Throws Kind::usage where the recipe does not fit the ranks or the model.
VerifyReport verify(const Recipe& recipe, const ModelConfig& config, Communicator& world,
                    const MakeBackend& make_backend);

}  // namespace hearth
