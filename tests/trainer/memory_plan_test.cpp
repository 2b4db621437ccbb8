// The plan of a rank's memory is the peak of its allocator, byte for byte, on every mesh.
#include "trainer/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>

#include "parallel/thread_world.h"
#include "trainer/evaluate.h"
#include "trainer/step.h"
#include "trainer/weights.h"

namespace hearth {
namespace {

constexpr std::int64_t row_tokens = 40;
constexpr std::int64_t microbatch_rows = 2;

ModelConfig llama() {
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

std::vector<std::pair<std::string, ModelConfig>> models() {
  std::vector<std::pair<std::string, ModelConfig>> all = {{"llama", llama()}};
  ModelConfig tied = llama();
  tied.tied = true;
  tied.head_width = 6;
  all.emplace_back("tied", tied);
  ModelConfig qwen2 = tied;
  qwen2.architecture = Architecture::qwen2;
  qwen2.attention_bias = true;
  all.emplace_back("qwen2", qwen2);
  ModelConfig qwen3 = llama();
  qwen3.architecture = Architecture::qwen3;
  qwen3.query_key_norm = true;
  qwen3.head_width = 16;
  qwen3.hidden = 137;  // is padded
  all.emplace_back("qwen3", qwen3);
  ModelConfig mistral = llama();
  mistral.architecture = Architecture::mistral;
  mistral.window = 16;
  mistral.heads = mistral.key_value_heads = 12;
  mistral.head_width = 4;
  mistral.vocabulary = 97;  // the embedding is no larger than a layer's half
  all.emplace_back("mistral", mistral);
  return all;
}

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

struct Case {
  MeshShape mesh;
  int zero_stage = 0;
  Dtype dtype = Dtype::f32;
  std::int64_t recompute = 0;
  int threads = 1;
  bool evaluates = false;
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  int chunks = 1;
  SumOrder order = SumOrder::fixed;
  int rounds = 2;  // microbatches of each data rank

  std::string text() const {
    return fmt::format("{}, ZeRO {}, {}, recompute {}, {} threads{}, {} ({}){}", mesh.text(), zero_stage,
                       name_of(dtype), recompute, threads, evaluates ? ", evaluation" : "", name_of(schedule), chunks,
                       order == SumOrder::fast ? ", fast" : "");
  }
  PlacedOptions placed() const {
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
};

Transformer cut(const ModelConfig& config, const MeshShape& mesh) {
  return Transformer(config, 0, Init::normal, {.tensor = mesh.tensor, .context = mesh.context});
}

/// What is planned for a rank of `stage`.
MemoryPlan planned(const ModelConfig& config, const Case& c, int stage) {
  const Transformer model = cut(config, c.mesh);
  const auto backend = make_cpu_backend({.threads = c.threads});
  const PlannedModel on_axes(model, c.placed().capacity, c.dtype);
  const MemoryPlan plan = plan_memory(on_axes, layout_of(model, c.mesh, c.placed(), c.rounds), stage, *backend);
  EXPECT_EQ(backend->memory().takes(), 0U) << "a plan takes nothing";
  return plan;
}

struct Peak {
  int stage = 0;
  std::size_t bytes = 0;
};

/// Two steps on every rank.
std::vector<Peak> run(const ModelConfig& config, const Case& c) {
  std::vector<Peak> peaks;
  std::mutex mutex;
  ThreadWorld(c.mesh.ranks()).run([&](Communicator& world) {
    const auto backend = make_cpu_backend({.threads = c.threads});
    Memory& memory = backend->memory();
    const Transformer model = cut(config, c.mesh);
    Mesh mesh(world, c.mesh);
    ModelOnMesh on(model, mesh, c.placed(), backend->ops(), memory);
    fill_fresh(on.groups, 5);
    const ListedRows rows = full_rows(c.rounds * microbatch_rows * c.mesh.data, config.vocabulary);
    Stepper stepper(on.pipeline, on.groups, backend->ops(), memory, rows, {.microbatch_rows = microbatch_rows});
    std::vector<std::int64_t> chosen(static_cast<std::size_t>(rows.count()));
    std::iota(chosen.begin(), chosen.end(), std::int64_t{0});
    if (c.evaluates) mean_loss(on.pipeline, rows);
    for (int step = 0; step < 2; ++step) stepper.step(step, chosen, 1e-3);
    if (c.evaluates) mean_loss(on.pipeline, rows);
    const std::lock_guard lock(mutex);
    peaks.push_back({mesh.along(Axis::pipe).rank(), memory.peak()});
  });
  return peaks;
}

void expect_planned(const std::string& name, const ModelConfig& config, const Case& c) {
  SCOPED_TRACE(name + ": " + c.text());
  for (const Peak& peak : run(config, c)) {
    const MemoryPlan plan = planned(config, c, peak.stage);
    EXPECT_EQ(peak.bytes, plan.total()) << "stage " << peak.stage << "\n" << memory_table(plan);
  }
}

std::vector<Case> cases_of_data() {
  std::vector<Case> all;
  int number = 0;
  for (const int ranks : {1, 2, 3}) {
    for (int stage = 0; stage <= 3; ++stage) {
      for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (const std::int64_t recompute : {0, 1, 2}) {
          Case c = {{.data = ranks}, stage, dtype, recompute, ranks == 1 ? 1 + number % 2 : 1, number % 3 == 0};
          all.push_back(c);
          ++number;
        }
      }
    }
  }
  return all;
}

TEST(MemoryPlan, IsThePeakOfEveryDataRank) {
  std::size_t number = 0;
  for (const auto& [name, config] : models()) {
    const std::size_t every = name == "llama" ? 1 : 4;  // the others take turns with a quarter of the cases
    for (const Case& c : cases_of_data()) {
      if (++number % every == 0) expect_planned(name, config, c);
    }
  }
}

/// Each axis, each with each, with ZeRO, schedules, recomputation and both orders of sums.
std::vector<Case> cases_of_meshes() {
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
       .rounds = 4},
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

TEST(MemoryPlan, IsThePeakOfEveryMesh) {
  std::size_t number = 0;
  for (const auto& [name, config] : models()) {
    for (const Case& c : cases_of_meshes()) {
      ++number;
      if (name != "llama" && number % 3 != 0) continue;  // the others take turns with a third of them
      expect_planned(name, config, c);
    }
  }
}

/// Every row is at work somewhere, by more than the tolerance that is promised: left out, it would be missed.
TEST(MemoryPlan, NoRowIsIdle) {
  std::map<std::string_view, double> most;
  for (const auto& [name, config] : models()) {
    for (const Case& c : cases_of_data()) {
      const MemoryPlan plan = planned(config, c, 0);
      for (const MemoryPlan::Row& row : plan.rows()) {
        most[row.name] = std::max(most[row.name], static_cast<double>(row.bytes) / static_cast<double>(plan.total()));
      }
    }
  }
  for (const auto& [name, share] : most) EXPECT_GT(share, 0) << name;
  for (const char* name : {"weights", "master weights", "moments", "gradients", "gathered blocks", "inputs of blocks",
                           "kept for backward", "recomputed blocks", "logits", "scratch", "workspace of ops"}) {
    EXPECT_GT(most[name], 0.03) << name;
  }
}

/// Peaks of a higher stage are no larger, for models whose blocks are small against the whole.
TEST(MemoryPlan, AHigherStageNeedsNoMore) {
  ModelConfig config = llama();
  config.layers = 12;
  config.vocabulary = 97;
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const int ranks : {2, 4, 8}) {
      std::size_t last = 0;
      for (int stage = 0; stage <= 3; ++stage) {
        const std::size_t total = planned(config, {{.data = ranks}, stage, dtype}, 0).total();
        if (stage > 0) {
          EXPECT_LE(total, last) << ranks << " ranks, ZeRO " << stage << ", " << name_of(dtype);
        }
        last = total;
      }
    }
  }
}

TEST(MemoryPlan, TheTableNamesWhatIsThereAndTheSum) {
  const std::string table = memory_table(planned(llama(), {{.data = 2}, 2, Dtype::bf16}, 0));
  for (const char* part : {"weights", "master weights", "moments", "together"}) {
    EXPECT_NE(table.find(part), std::string::npos) << table;
  }
  EXPECT_EQ(table.find("gathered"), std::string::npos) << "ZeRO 2 gathers no blocks\n" << table;
}

}  // namespace
}  // namespace hearth
