#include "launch/loaded_model.h"

#include <algorithm>

#include "trainer/together_of.h"

namespace hearth {

namespace {

Dtype compute_of(const OpenedModel& opened, const std::optional<Dtype>& wish) {
  const Dtype dtype = wish.value_or(opened.dtype());
  return dtype == Dtype::f16 ? Dtype::f32 : dtype;  // halves are stored, never computed in: f32 holds each exactly
}

}  // namespace

LoadedModel::LoadedModel(const Path& model_or_run, const LoadOptions& options, const Environment& environment,
                         World& world)
    : LoadedModel(open_model(model_or_run, world), options, environment, world) {}

LoadedModel::LoadedModel(OpenedModel model, const LoadOptions& options, const Environment& environment, World& world)
    : opened(std::move(model)),
      compute(compute_of(opened, options.dtype)),
      backend(make_device(environment, world, options.threads.value_or(default_threads(environment)),
                          compute == Dtype::bf16 ? std::nullopt : std::optional(Bf16Products::widened))
                  .backend),
      mesh(world.all(), MeshShape{.data = world.size()}),
      transformer(opened.config(), options.label_smoothing) {
  const GroupOptions placed = {options.zero_stage, compute, options.trainable, Poison::no};
  groups = std::make_unique<Groups>(transformer, mesh, placed, backend->ops(), backend->memory());
  StageOptions staged;
  staged.compute = compute;
  staged.recompute = options.recompute;
  staged.capacity =
      options.capacity > 0 ? options.capacity : std::min<std::int64_t>(2048, opened.config().max_positions);
  stage = std::make_unique<Stage>(transformer, *groups, mesh, backend->ops(), backend->memory(), staged);
  opened.fill(*groups);
}

OpenedModel open_model(const Path& model_or_run, World& world) {
  std::optional<OpenedModel> opened;
  all_or_none(together_of(world.all()), [&] { opened.emplace(model_or_run); });
  return std::move(*opened);
}

Dtype compute_dtype(const std::string& name) {
  if (name == "f32" || name == "float32") return Dtype::f32;
  if (name == "bf16" || name == "bfloat16") return Dtype::bf16;
  fail(Kind::usage, "--dtype {}: f32 or bf16", name);
}

const Tokenizer& tokenizer_of(const OpenedModel& model) {
  if (!model.tokenizer())
    fail_everywhere(Kind::data, "{} has no tokenizer.json: give token ids instead of text", model.name());
  return *model.tokenizer();
}

}  // namespace hearth
