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
  std::string note;  // that ranks compute on different kinds of processor, and so not to the bit; empty: they do not
  std::vector<VerifyBounds> bounds;  // by dtype, f32 first
  std::vector<VerifyCheck> checks;   // of each dtype all
  /// After a failure: the axes that fail when the model runs along them alone ("tensor"), else pairs of axes
  /// ("data x tensor"), else nothing: only together.
  std::vector<std::string> axes;

  bool good() const;
  /// The check to name first, of those that fail: gradients, else weights, else a number of the step; null when good.
  const VerifyCheck* worst() const;
};

/// What a rank computes on.
struct VerifyDevice {
  // Implicit: a backend is a device of which no more is known.
  VerifyDevice(std::unique_ptr<Backend> its_backend, std::string its_kind = "")  // NOLINT(google-explicit-constructor)
      : backend(std::move(its_backend)), kind(std::move(its_kind)) {}
  std::unique_ptr<Backend> backend;
  std::string kind;  // two devices of one kind compute the same bits
};
/// Makes the device of this rank; called once on every rank, at the same place.
using MakeDevice = std::function<VerifyDevice()>;

/// Runs a small copy of `config`'s model (see VerifyPlan) on the first rank alone and on all ranks of `world` as the
/// recipe says, in f32 and, where the recipe says so, in bf16, and compares. Collective; the same report on every rank.
/// Nothing is read or written. Throws Kind::usage where the recipe does not fit the ranks or the model.
VerifyReport verify(const Recipe& recipe, const ModelConfig& config, Communicator& world,
                    const MakeDevice& make_device);

}  // namespace hearth
