// A model on a device, ready to run: what generate, eval, probe and export have in common.
#pragma once

#include <memory>
#include <optional>

#include "launch/bootstrap.h"
#include "trainer/model_on_mesh.h"
#include "trainer/opened_model.h"

namespace hearth {

/// How a model is to be run. Words of the command line, checked.
struct LoadOptions {
  std::optional<Dtype> dtype;  // nothing: the model's own
  std::optional<int> threads;  // nothing: default_threads
  std::int64_t capacity = 0;   // the most tokens of a microbatch; 0: the model's longest text, at most 2048
  bool trainable = false;      // gradients are wanted
  double label_smoothing = 0;
  std::optional<Bf16Products> products;  // nothing: native where every processor has them
  int zero_stage = 0;
  std::int64_t recompute = 0;  // see StageOptions
  MeshShape mesh;              // its data axis is what is left of the ranks
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  int chunks = 0;  // of a stage; 0: 2 when interleaved, else 1
};

/// Takes one `key=value` of a --set: dtype, label_smoothing_factor, zero_stage, gradient_checkpointing,
/// threads_per_rank, tensor_parallel_size, pipeline_parallel_size, context_parallel_size, data_shard_size,
/// pipeline_schedule, pipeline_chunks. Throws Kind::usage naming what else is not understood.
void apply_setting(const std::string& word, LoadOptions& load);
/// Those keys, for help texts.
constexpr const char* settings_text =
    "--set: dtype, label_smoothing_factor, zero_stage, gradient_checkpointing, threads_per_rank,\n"
    "tensor_parallel_size, pipeline_parallel_size, context_parallel_size, data_shard_size,\n"
    "pipeline_schedule, pipeline_chunks.";

/// Whether the ranks and the stages suit what is asked for, before a model is opened; as a recipe is held to it. Throws
/// Kind::usage on every rank.
void check_mesh(const LoadOptions& options, World& world);
/// Whether as many microbatches with gradients suit the schedule. Throws Kind::usage on every rank.
void check_microbatches(const LoadOptions& options, World& world, std::int64_t microbatches);

class LoadedModel {
 public:
  /// Places and fills the model over all ranks of `world`. REQUIRES: check_mesh.
  LoadedModel(OpenedModel model, const LoadOptions& options, const Environment& environment, World& world);
  /// Opens it first.
  LoadedModel(const Path& model_or_run, const LoadOptions& options, const Environment& environment, World& world);

  OpenedModel opened;
  Dtype compute;
  ChosenDevice device;
  Backend* backend;  // the device's
  Mesh mesh;
  Transformer transformer;
  ModelOnMesh on;
};

/// Opened on every rank, or on none. What a person should know about it goes to standard error.
OpenedModel open_model(const Path& model_or_run, World& world);
/// "f32" or "bf16" of a --dtype; Kind::usage for others.
Dtype compute_dtype(const std::string& name);
/// The tokenizer of a model, or Kind::data saying that it has none.
const Tokenizer& tokenizer_of(const OpenedModel& model);

}  // namespace hearth
