#include "launch/loaded_model.h"

#include <algorithm>
#include <cstdlib>

#include "model/hf/config.h"
#include "trainer/recipe_mesh.h"
#include "trainer/run_start.h"
#include "trainer/together_of.h"

namespace hearth {

namespace {

Dtype compute_of(const OpenedModel& opened, const std::optional<Dtype>& wish) {
  const Dtype dtype = wish.value_or(opened.dtype());
  return dtype == Dtype::f16 ? Dtype::f32 : dtype;  // halves are stored, never computed in: f32 holds each exactly
}

Recipe::PipelineSchedule in_recipe(PipelineSchedule schedule) {
  switch (schedule) {
    case PipelineSchedule::one_f_one_b:
      return Recipe::PipelineSchedule::one_forward_one_backward;
    case PipelineSchedule::interleaved:
      return Recipe::PipelineSchedule::interleaved;
    case PipelineSchedule::zero_bubble:
      break;
  }
  return Recipe::PipelineSchedule::zero_bubble;
}

/// As much of one as says what mesh is wished: its rules are those of training.
Recipe recipe_of(const LoadOptions& options) {
  Recipe recipe;
  recipe.parallel.tensor_parallel_size = options.mesh.tensor;
  recipe.parallel.pipeline_parallel_size = options.mesh.pipe;
  recipe.parallel.context_parallel_size = options.mesh.context;
  if (options.mesh.shard > 0) recipe.parallel.data_shard_size = options.mesh.shard;
  recipe.parallel.pipeline_schedule = in_recipe(options.schedule);
  if (options.chunks > 0) recipe.parallel.pipeline_chunks = options.chunks;
  return recipe;
}

PlacedOptions placed(const LoadOptions& options, const OpenedModel& opened, Dtype compute) {
  PlacedOptions placed;
  placed.compute = compute;
  placed.zero_stage = options.zero_stage;
  placed.trainable = options.trainable;
  placed.recompute = options.recompute;
  placed.schedule = schedule_kind(recipe_of(options));
  placed.chunks = chunks_of(recipe_of(options));
  placed.capacity =
      options.capacity > 0 ? options.capacity : std::min<std::int64_t>(2048, opened.config().max_positions);
  return placed;
}

}  // namespace

LoadedModel::LoadedModel(const Path& model_or_run, const LoadOptions& options, const Environment& environment,
                         World& world)
    : LoadedModel(open_model(model_or_run, world), options, environment, world) {}

LoadedModel::LoadedModel(OpenedModel model, const LoadOptions& options, const Environment& environment, World& world)
    : opened(std::move(model)),
      compute(compute_of(opened, options.dtype)),
      device(make_device(environment, world, options.threads.value_or(default_threads(environment)),
                         compute == Dtype::bf16 ? options.products : std::optional(Bf16Products::widened))),
      backend(device.backend.get()),
      mesh(world.all(), mesh_shape(recipe_of(options), opened.config(), world.size())),
      transformer(opened.config(), options.label_smoothing, Init::normal,
                  {.tensor = mesh.shape().tensor, .context = mesh.shape().context}),
      on(transformer, mesh, placed(options, opened, compute), backend->ops(), backend->memory()) {
  opened.fill(on.groups);
}

namespace {

std::int64_t whole_number(const std::string& key, const std::string& value, std::int64_t low, std::int64_t high) {
  char* end = nullptr;
  const long long number = std::strtoll(value.c_str(), &end, 10);
  if (value.empty() || *end != '\0' || number < low || number > high) {
    fail(Kind::usage, "--set {}={}: a whole number from {} to {}", key, value, low, high);
  }
  return number;
}

double share(const std::string& key, const std::string& value) {
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || !(number >= 0 && number < 1)) {
    fail(Kind::usage, "--set {}={}: from 0 to below 1", key, value);
  }
  return number;
}

PipelineSchedule schedule_named(const std::string& name) {
  for (const auto kind :
       {PipelineSchedule::one_f_one_b, PipelineSchedule::interleaved, PipelineSchedule::zero_bubble}) {
    if (name == name_of(kind)) return kind;
  }
  fail(Kind::usage, "--set pipeline_schedule={}: 1f1b, interleaved or zero_bubble", name);
}

}  // namespace

void apply_setting(const std::string& word, LoadOptions& load) {
  const std::size_t equals = word.find('=');
  const std::string key = word.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
  const auto size = [&](int least = 1) { return static_cast<int>(whole_number(key, value, least, 1 << 20)); };
  if (key == "dtype") {
    load.dtype = compute_dtype(value);
  } else if (key == "label_smoothing_factor") {
    load.label_smoothing = share(key, value);
  } else if (key == "zero_stage") {
    load.zero_stage = static_cast<int>(whole_number(key, value, 0, 3));
  } else if (key == "gradient_checkpointing") {
    load.recompute = value == "true" ? 1 : value == "false" ? 0 : whole_number(key, value, 0, 100000);
  } else if (key == "threads_per_rank") {
    load.threads = static_cast<int>(whole_number(key, value, 1, 1024));
  } else if (key == "tensor_parallel_size") {
    load.mesh.tensor = size();
  } else if (key == "pipeline_parallel_size") {
    load.mesh.pipe = size();
  } else if (key == "context_parallel_size") {
    load.mesh.context = size();
  } else if (key == "data_shard_size") {
    load.mesh.shard = size();
  } else if (key == "pipeline_schedule") {
    load.schedule = schedule_named(value);
  } else if (key == "pipeline_chunks") {
    load.chunks = size();
  } else {
    fail(Kind::usage, "--set {}: not understood.\n{}", word, settings_text);
  }
}

void check_mesh(const LoadOptions& options, World& world) {
  const Recipe recipe = recipe_of(options);
  mesh_shape(recipe, world.size());
  check_chunks(recipe);
}

void check_microbatches(const LoadOptions& options, World& world, std::int64_t microbatches) {
  const Recipe recipe = recipe_of(options);
  check_schedule(recipe, mesh_shape(recipe, world.size()), microbatches);
}

OpenedModel open_model(const Path& model_or_run, World& world) {
  OpenedModel opened(model_or_run, together_on_files_of(world.all()));
  std::string text = hf::to_json(opened.config(), opened.dtype());
  for (const auto& [name, bytes] : opened.files()) text += name + '\n' + bytes;
  agree(world.all(), text, fmt::format("have different models at {}", model_or_run.string()));
  if (world.first()) {
    for (const std::string& note : opened.notes()) fmt::print(stderr, "note: {}\n", note);
  }
  return opened;
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
