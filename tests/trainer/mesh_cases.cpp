#include "trainer/mesh_cases.h"

#include <numeric>

#include "kernels/backend.h"
#include "parallel/thread_world.h"
#include "trainer/evaluate.h"
#include "trainer/step.h"
#include "trainer/weights.h"

namespace hearth::test {

ModelConfig small_llama() {
  ModelConfig config;
  config.vocabulary = 301;
  config.width = 48;
  config.hidden = 136;
  config.layers = 3;
  config.heads = 6;
  config.key_value_heads = 2;
  config.head_width = 8;  // queries as wide as the residual stream: their memory is handed to inputs
  config.max_positions = 256;
  return config;
}

std::vector<std::pair<std::string, ModelConfig>> small_models() {
  std::vector<std::pair<std::string, ModelConfig>> all = {{"llama", small_llama()}};
  ModelConfig tied = small_llama();
  tied.tied = true;
  tied.head_width = 6;
  all.emplace_back("tied", tied);
  ModelConfig qwen2 = tied;
  qwen2.architecture = Architecture::qwen2;
  qwen2.attention_bias = true;
  all.emplace_back("qwen2", qwen2);
  ModelConfig qwen3 = small_llama();
  qwen3.architecture = Architecture::qwen3;
  qwen3.query_key_norm = true;
  qwen3.head_width = 16;
  qwen3.hidden = 137;  // is padded
  all.emplace_back("qwen3", qwen3);
  ModelConfig mistral = small_llama();
  mistral.architecture = Architecture::mistral;
  mistral.window = 16;
  mistral.heads = mistral.key_value_heads = 12;
  mistral.head_width = 4;
  mistral.vocabulary = 97;  // the embedding is no larger than a layer's half
  all.emplace_back("mistral", mistral);
  return all;
}

std::string MeshCase::text() const {
  return fmt::format("{}, ZeRO {}, {}, recompute {}, {} threads{}, {} ({}){}", mesh.text(), zero_stage, name_of(dtype),
                     recompute, threads, evaluates ? ", evaluation" : "", name_of(schedule), chunks,
                     order == SumOrder::fast ? ", fast" : "");
}

PlacedOptions MeshCase::placed() const {
  PlacedOptions options;
  options.compute = dtype;
  options.zero_stage = zero_stage;
  options.recompute = recompute;
  options.capacity = row_tokens * microbatch_rows;
  options.schedule = schedule;
  options.chunks = chunks;
  options.order = order;
  return options;
}

std::vector<MeshCase> mesh_cases() {
  using enum PipelineSchedule;
  const auto bf16 = Dtype::bf16;
  const auto f32 = Dtype::f32;
  return {
      {.mesh = {.tensor = 2}, .dtype = bf16},
      {.mesh = {.data = 2, .tensor = 2}, .zero_stage = 3, .dtype = bf16, .recompute = 2},
      {.mesh = {.tensor = 6}, .recompute = 1},
      {.mesh = {.context = 2}, .dtype = bf16},
      {.mesh = {.context = 2}, .zero_stage = 3, .dtype = f32, .recompute = 1},
      {.mesh = {.data = 2, .context = 2}, .zero_stage = 2, .dtype = bf16},
      {.mesh = {.context = 3}, .zero_stage = 1, .dtype = bf16},
      {.mesh = {.context = 2, .tensor = 2}, .zero_stage = 3, .dtype = bf16, .evaluates = true},
      {.mesh = {.pipe = 2}, .dtype = bf16, .rounds = 5},
      {.mesh = {.pipe = 3, .data = 2}, .zero_stage = 3, .dtype = bf16, .rounds = 6},
      {.mesh = {.pipe = 4}, .recompute = 1, .rounds = 7},
      {.mesh = {.pipe = 2, .tensor = 2}, .dtype = bf16, .recompute = 2, .evaluates = true, .rounds = 4},
      {.mesh = {.pipe = 2, .context = 2}, .zero_stage = 3, .dtype = bf16, .rounds = 4},
      {.mesh = {.pipe = 2, .data = 2, .tensor = 2}, .zero_stage = 3, .dtype = bf16, .rounds = 4},
      {.mesh = {.pipe = 2}, .dtype = bf16, .schedule = interleaved, .chunks = 2, .rounds = 6},
      {.mesh = {.pipe = 2, .data = 2},
       .zero_stage = 3,
       .dtype = bf16,
       .schedule = interleaved,
       .chunks = 2,
       .rounds = 5},
      {.mesh = {.pipe = 3}, .recompute = 1, .schedule = interleaved, .chunks = 3, .rounds = 7},
      {.mesh = {.pipe = 2}, .dtype = bf16, .schedule = zero_bubble, .rounds = 6},
      {.mesh = {.pipe = 3, .tensor = 2}, .dtype = bf16, .recompute = 2, .schedule = zero_bubble, .rounds = 7},
      {.mesh = {.pipe = 2, .data = 2}, .zero_stage = 3, .dtype = bf16, .schedule = zero_bubble, .rounds = 4},
      {.mesh = {.data = 4, .shard = 2}, .zero_stage = 3, .dtype = bf16},
      {.mesh = {.data = 4, .shard = 2}, .zero_stage = 1, .dtype = f32},
      {.mesh = {.data = 2, .context = 2, .shard = 2}, .zero_stage = 2, .dtype = bf16},
      {.mesh = {.data = 2}, .zero_stage = 1, .dtype = bf16, .order = SumOrder::fast},
      {.mesh = {}, .dtype = bf16, .order = SumOrder::fast},
      {.mesh = {.pipe = 2, .data = 2}, .zero_stage = 1, .dtype = bf16, .order = SumOrder::fast, .rounds = 4},
  };
}

Transformer cut(const ModelConfig& config, const MeshShape& mesh) {
  return Transformer(config, 0, Init::normal, {.tensor = mesh.tensor, .context = mesh.context});
}

namespace {

/// Rows that all have the most tokens there may be.
ListedRows full_rows(std::int64_t count, std::int64_t vocabulary) {
  std::vector<Row> rows;
  for (std::int64_t r = 0; r < count; ++r) {
    std::vector<std::int32_t> tokens(row_tokens);
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      tokens[t] =
          static_cast<std::int32_t>((7 * t + static_cast<std::size_t>(r)) % static_cast<std::size_t>(vocabulary));
    }
    rows.push_back(labelled_row(std::move(tokens), {}));
  }
  return ListedRows(std::move(rows));
}

}  // namespace

void run_steps(const ModelConfig& config, const MeshCase& c, int steps, std::int64_t microbatches, const Look& look) {
  ThreadWorld(c.mesh.ranks()).run([&](Communicator& world) {
    const auto backend = make_cpu_backend({.threads = c.threads});
    Memory& memory = backend->memory();
    const Transformer model = cut(config, c.mesh);
    Mesh mesh(world, c.mesh);
    ModelOnMesh on(model, mesh, c.placed(), backend->ops(), memory);
    fill_fresh(on.groups, 5);
    const ListedRows rows = full_rows(microbatches * microbatch_rows, config.vocabulary);
    Stepper stepper(on.pipeline, on.groups, backend->ops(), memory, rows, {.microbatch_rows = microbatch_rows});
    std::vector<std::int64_t> chosen(static_cast<std::size_t>(rows.count()));
    std::iota(chosen.begin(), chosen.end(), std::int64_t{0});
    if (c.evaluates) mean_loss(on.pipeline, rows);
    for (int step = 0; step < steps; ++step) {
      stepper.step(step, chosen, 1e-3);
      if (c.evaluates) mean_loss(on.pipeline, rows);
      look(step + 1, mesh, memory);
    }
  });
}

}  // namespace hearth::test
