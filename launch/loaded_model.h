// A model on a device, ready to run: what generate, eval, probe and export have in common.
#pragma once

#include <memory>
#include <optional>

#include "launch/bootstrap.h"
#include "trainer/opened_model.h"
#include "trainer/stage.h"

namespace hearth {

/// How a model is to be run. Words of the command line, checked.
struct LoadOptions {
  std::optional<Dtype> dtype;  // nothing: the model's own
  std::optional<int> threads;  // nothing: default_threads
  std::int64_t capacity = 0;   // the most tokens of a microbatch; 0: the model's longest text, at most 2048
  bool trainable = false;      // gradients are wanted
  double label_smoothing = 0;
  int zero_stage = 0;
  std::int64_t recompute = 0;  // see StageOptions
};

class LoadedModel {
 public:
  /// Places and fills the model over all ranks of `world`.
  LoadedModel(OpenedModel model, const LoadOptions& options, const Environment& environment, World& world);
  /// Opens it first.
  LoadedModel(const Path& model_or_run, const LoadOptions& options, const Environment& environment, World& world);

  OpenedModel opened;
  Dtype compute;
  std::unique_ptr<Backend> backend;
  Mesh mesh;
  Transformer transformer;
  std::unique_ptr<Groups> groups;
  std::unique_ptr<Stage> stage;
};

/// Opened on every rank, or on none.
OpenedModel open_model(const Path& model_or_run, World& world);
/// "f32" or "bf16" of a --dtype; Kind::usage for others.
Dtype compute_dtype(const std::string& name);
/// The tokenizer of a model, or Kind::data saying that it has none.
const Tokenizer& tokenizer_of(const OpenedModel& model);

}  // namespace hearth
