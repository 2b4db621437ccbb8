// One training job from a checked recipe to a finished run: who does what in which order.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "kernels/backend.h"
#include "parallel/communicator.h"
#include "parallel/gather_pool.h"
#include "trainer/progress.h"
#include "trainer/recipe.h"

namespace hearth {

/// A device, and how it multiplies bf16.
struct ChosenDevice {
  std::unique_ptr<Backend> backend;
  Bf16Products products = Bf16Products::widened;
  std::string kind = {};  // two devices of one kind compute the same bits; empty: not known
};

/// What the surroundings give a run.
struct RunContext {
  Communicator& world;
  /// With a value: the way of multiplying bf16 that the recipe states or the run began with; without: the device's own.
  std::function<ChosenDevice(std::optional<Bf16Products>)> make_device;
  int threads = 1;
  std::string program;  // name, version and commit
  ProgressStyle progress = ProgressStyle::lines;
  bool colors = false;
  std::FILE* out = stdout;
  /// True: commit a checkpoint after this step and end.
  const std::atomic<bool>* interrupted = nullptr;
  /// Commit a checkpoint after this step and end, if the run is longer; with 0 it goes to its end.
  std::int64_t until = 0;
  Poison poison = Poison::no;
  /// For tests: called when step `step` (from 1) is updated and not yet logged, evaluated or saved; and after all that.
  std::function<void(std::int64_t step)> in_step = {};
  std::function<void(std::int64_t step)> after_step = {};
};

/// paused: after RunContext::until, with steps left.
enum class RunEnd { finished, interrupted, paused };

/// Trains, or continues what is in the recipe's output_dir. Collective over the world: every rank gives an equal
/// recipe. Throws what goes wrong, each error with the exit code of its kind.
RunEnd train(const Recipe& recipe, const RunContext& context);

}  // namespace hearth
