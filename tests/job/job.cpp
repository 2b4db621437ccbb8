#include "job/job.h"

#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/random.h"
#include "model/hf/config.h"
#include "parallel/thread_world.h"
#include "trainer/checkpoint.h"
#include "trainer/metrics.h"
#include "trainer/recipe_mesh.h"
#include "trainer/step.h"

namespace hearth::test {

void write_rows(const Path& folder) {
  const Key key = Key(11).with("rows");
  std::string text;
  std::uint64_t index = 0;
  for (int row = 0; row < 24; ++row) {
    nlohmann::json ids = nlohmann::json::array();
    nlohmann::json labels = nlohmann::json::array();
    const auto length = 5 + key.below(19, index++);
    for (std::uint64_t t = 0; t < length; ++t) {
      const auto id = static_cast<int>(key.below(29, index++));
      ids.push_back(id);
      labels.push_back(row % 3 == 1 && t % 4 != 2 ? -100 : id);  // a third of the rows have few targets
    }
    text += nlohmann::json({{"input_ids", ids}, {"labels", labels}}).dump() + "\n";
  }
  write_file(folder / "rows.jsonl", text);
}

namespace {

std::string recipe_text(const Path& folder, const std::string& name, const JobOptions& o) {
  std::string text = fmt::format(
      "stage: pt\nfinetuning_type: full\n"
      "model_config: {{model_type: qwen3, vocab_size: 29, hidden_size: 24, intermediate_size: 40, num_hidden_layers: "
      "2, "
      "num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8, max_position_embeddings: 32, tie_word_embeddings: "
      "true, "
      "initializer_range: 0.2}}\n"
      "datasets: {0}/rows.jsonl\ncache_dir: {0}/cache\noutput_dir: {0}/{1}\npacking: "
      "none\nper_device_train_batch_size: {8}\n"
      "gradient_accumulation_steps: {2}\nzero_stage: {3}\ngradient_checkpointing: {4}\ndtype: {5}\n{6}\n"
      "learning_rate: 0.01\nlr_scheduler_type: cosine\nwarmup_steps: 3\nweight_decay: 0.1\nmax_grad_norm: "
      "0.5\nsave_steps: {7}\n",
      folder.string(), name, o.accumulation, o.zero_stage, o.recompute, o.dtype,
      o.epochs > 0 ? fmt::format("num_train_epochs: {}", o.epochs) : fmt::format("max_steps: {}", o.steps),
      o.save_steps, o.batch);
  for (const std::string& line : o.more) text += line + "\n";
  return text;
}

/// What a run begins with that says nothing.
Bf16Products products_here() {
  return has_native_bf16_products() ? Bf16Products::native : Bf16Products::widened;
}

}  // namespace

RunEnd run_job(Communicator& world, const Path& folder, const std::string& name, const JobOptions& options,
               const std::function<void(RunContext&)>& change) {
  const Recipe recipe = parse_recipe(recipe_text(folder, name, options), "job");
  RunContext context = {
      world,
      [&](std::optional<Bf16Products> products) {
        const Bf16Products chosen = products.value_or(products_here());
        return ChosenDevice{make_cpu_backend({.threads = options.threads, .bf16_products = chosen}), chosen};
      },
      options.threads, "hearth test", ProgressStyle::none};
  context.poison = Poison::yes;
  if (change) change(context);
  return train(recipe, context);
}

RunEnd run_on_threads(int ranks, const Path& folder, const std::string& name, const JobOptions& options,
                      const std::function<void(RunContext&)>& change) {
  RunEnd end = RunEnd::finished;
  std::mutex mutex;
  ThreadWorld(ranks).run([&](Communicator& world) {
    const RunEnd mine = run_job(world, folder, name, options, change);
    const std::lock_guard lock(mutex);
    end = mine;
  });
  return end;
}

JobResult result_of(const Path& folder, const std::string& name) {
  std::vector<std::string> complaints;
  const auto newest = newest_verified(folder / name, complaints);
  require(newest.has_value(), "a finished job leaves a checkpoint");
  const CheckpointReader reader(*newest);
  JobResult result;
  for (const std::string& parameter : reader.names()) {
    for (const Role role : roles) {
      auto& values = result.weights[std::string(group_of(role)) + "/" + parameter];
      values.resize(static_cast<std::size_t>(reader.dims(parameter).elements()));
      reader.read(role, parameter, 0, static_cast<std::int64_t>(values.size()), values.data());
    }
  }
  for (const StepRecord& record : read_metrics(folder / name / "trainer_log.jsonl")) {
    if (!record.loss) continue;
    result.losses.push_back(*record.loss);
    result.norms.push_back(record.norm.value_or(-1));
  }
  return result;
}

std::uint64_t peak_of(const Path& folder, const std::string& name) {
  return read_metrics(folder / name / "trainer_log.jsonl").back().peak_memory;
}

MemoryPlan plan_of(const Path& folder, const JobOptions& options, int ranks) {
  const Recipe recipe = parse_recipe(recipe_text(folder, "planned", options), "job");
  std::vector<Row> rows;
  std::istringstream lines(read_text(folder / "rows.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    rows.push_back(labelled_row(nlohmann::json::parse(line)["input_ids"].get<std::vector<std::int32_t>>(), {}));
  }
  const ModelConfig config = hf::parse_config(*recipe.model.model_config, "job");
  const MeshShape mesh = mesh_shape(recipe, config, ranks);
  const StepRows step = rows_of_first_start(recipe, mesh.data);
  PlacedOptions placed;
  placed.compute = recipe.train.dtype;
  placed.zero_stage = zero_stage(recipe, mesh.data * mesh.context);
  placed.recompute = recipe.train.gradient_checkpointing;
  placed.capacity = capacity_for(ListedRows(std::move(rows)), Places{step.microbatch, 0, options.steps * step.rows});
  placed.schedule = schedule_kind(recipe);
  placed.chunks = chunks_of(recipe);
  const Transformer model(config, 0, Init::normal, {.tensor = mesh.tensor, .context = mesh.context});
  const auto backend = make_cpu_backend({.threads = options.threads, .bf16_products = products_here()});
  const auto rounds = static_cast<int>((step.microbatches + mesh.data - 1) / mesh.data);
  return plan_memory(PlannedModel(model, placed.capacity, placed.compute), layout_of(model, mesh, placed, rounds), 0,
                     *backend);
}

}  // namespace hearth::test
