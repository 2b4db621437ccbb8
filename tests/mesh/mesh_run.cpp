#include "mesh/mesh_run.h"

#include <cmath>
#include <mutex>
#include <numeric>

#include "kernels/backend.h"
#include "parallel/thread_world.h"
#include "trainer/evaluate.h"
#include "trainer/model_on_mesh.h"
#include "trainer/probe.h"
#include "trainer/step.h"
#include "trainer/weights.h"

namespace hearth::test {

namespace {

constexpr std::int64_t microbatch_rows = 2;
constexpr std::int64_t rows_a_step = 8;  // the third step has seven: its last microbatch is short

std::vector<std::int64_t> rows_of_step(std::int64_t step) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(step == 2 ? rows_a_step - 1 : rows_a_step));
  std::iota(rows.begin(), rows.end(), step * rows_a_step);
  return rows;
}

/// Weights that are not all near zero, so that every path matters: norms about one, matrices of unit gain.
void fill(Groups& groups) {
  const Key key = Key(7).with("mesh");
  for (int i = 0; i < groups.count(); ++i) {
    groups.group(i).fill(FlatGroup::Part::weight, [&](const Parameter& parameter, const Stretch& where, float* out) {
      const Key of_it = key.with(parameter.name);
      const double spread = parameter.full.count == 1 ? 0.2 : 1 / std::sqrt(static_cast<double>(parameter.full[1]));
      const bool is_gain = parameter.law.kind == Law::Kind::ones;
      for (std::int64_t row = 0; row < where.rows; ++row) {
        for (std::int64_t column = 0; column < where.columns; ++column) {
          const auto index = static_cast<std::uint64_t>(where.begin + row * where.stride + column);
          *out++ = static_cast<float>((is_gain ? 1 : 0) + spread * of_it.normal(index));
        }
      }
    });
  }
}

std::map<std::string, std::vector<float>> collected(const Transformer& model, ModelOnMesh& on, Mesh& mesh,
                                                    const std::function<Tensor(const FlatGroup::Piece&)>& part) {
  std::map<std::string, std::vector<float>> all;
  collect(model, on.groups, mesh, part, [&](const Parameter& parameter, std::span<const float> values) {
    all[parameter.name].assign(values.begin(), values.end());
  });
  return all;
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - b[i];
    difference += d * d;
    size += static_cast<double>(b[i]) * b[i];
  }
  return std::sqrt(size == 0 ? difference : difference / size);
}

}  // namespace

std::string MeshRun::text() const {
  return fmt::format("{} {} zero {} {} chunks {} recompute {} {} threads {} smoothing {}", family, mesh.text(),
                     zero_stage, name_of(schedule), chunks, recompute, name_of(dtype), threads, smoothing);
}

ModelConfig config_of(const std::string& family) {
  ModelConfig config;
  config.vocabulary = 61;
  config.width = 24;
  config.hidden = 37;
  config.layers = 4;
  config.heads = 4;
  config.key_value_heads = 2;
  config.head_width = 8;
  config.max_positions = 64;
  config.norm_epsilon = 1e-5F;
  if (family == "llama_tied") {
    config.tied = true;
  } else if (family == "llama_three") {
    config.heads = 6;
    config.key_value_heads = 3;
  } else if (family == "qwen2") {
    config.architecture = Architecture::qwen2;
    config.attention_bias = true;
    config.key_value_heads = 1;
  } else if (family == "qwen3") {
    config.architecture = Architecture::qwen3;
    config.query_key_norm = true;
    config.tied = true;
  } else if (family == "mistral") {
    config.architecture = Architecture::mistral;
    config.window = 7;
  } else {
    require(family == "llama", "a family of the mesh tests");
  }
  return config;
}

std::vector<std::string> families() {
  return {"llama", "llama_tied", "qwen2", "qwen3", "mistral"};
}

ListedRows rows_of(std::int64_t vocabulary) {
  const Key key = Key(11).with("rows");
  std::uint64_t index = 0;
  const auto below = [&](std::int64_t count) {
    return static_cast<std::int64_t>(key.below(static_cast<std::uint64_t>(count), index++));
  };
  std::vector<Row> rows;
  for (int r = 0; r < 24; ++r) {
    const std::int64_t length = 5 + below(27);
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> labels;
    for (std::int64_t t = 0; t < length; ++t) {
      ids.push_back(static_cast<std::int32_t>(below(vocabulary)));
      labels.push_back(r % 6 == 3 || below(3) == 0 ? -100 : ids.back());
    }
    std::vector<std::int32_t> starts{0};
    if (r % 3 == 1) starts.push_back(static_cast<std::int32_t>(1 + below(length - 1)));
    rows.push_back(labelled_row(std::move(ids), labels, std::move(starts)));
  }
  return ListedRows(std::move(rows));
}

MeshResult run_rank(const MeshRun& run, Communicator& world) {
  const auto backend = make_cpu_backend({.threads = run.threads});
  const ModelConfig config = config_of(run.family);
  Mesh mesh(world, run.mesh);
  const Transformer model(config, run.smoothing, Init::normal,
                          {.tensor = run.mesh.tensor, .context = run.mesh.context});
  const ListedRows rows = rows_of(config.vocabulary);
  PlacedOptions options;
  options.compute = run.dtype;
  options.zero_stage = run.zero_stage;
  options.poison = Poison::yes;
  options.recompute = run.recompute;
  options.capacity = capacity_for(rows, microbatch_rows);
  options.schedule = run.schedule;
  options.chunks = run.chunks;
  ModelOnMesh on(model, mesh, options, backend->ops(), backend->memory());
  fill(on.groups);

  MeshResult result;
  result.held_out = mean_loss(on.pipeline, rows);
  result.matches = exact_matches(on.pipeline, rows);
  Probed probed = probe(on.pipeline, on.groups, rows, {.gradients = true});
  result.gradients = std::move(probed.gradients);
  result.logits = std::move(probed.logits);
  StepOptions step;
  step.microbatch_rows = microbatch_rows;
  step.adamw.decay = 0.1;
  step.max_norm = 0.5;
  Stepper stepper(on.pipeline, on.groups, backend->ops(), backend->memory(), rows, step);
  for (int k = 0; k < run.steps; ++k) {
    const StepResult done = stepper.step(k, rows_of_step(k), 1e-2);
    require(done.updated, "a step of the mesh tests is finite");
    result.losses.push_back(done.loss);
    result.norms.push_back(done.norm);
  }
  result.weights = collected(model, on, mesh, [](const FlatGroup::Piece& piece) { return piece.weight; });
  result.moments = collected(model, on, mesh, [](const FlatGroup::Piece& piece) { return piece.second_moment; });
  return result;
}

MeshResult run_threads(const MeshRun& run) {
  MeshResult first;
  std::mutex mutex;
  std::vector<std::vector<double>> losses;
  ThreadWorld(run.mesh.ranks()).run([&](Communicator& world) {
    MeshResult result = run_rank(run, world);
    const std::lock_guard lock(mutex);
    losses.push_back(result.losses);
    losses.back().insert(losses.back().end(), result.norms.begin(), result.norms.end());
    if (world.rank() == 0) first = std::move(result);
  });
  for (const auto& of_rank : losses) require(of_rank == losses.front(), "every rank knows the same losses and norms");
  return first;
}

MeshResult run_alone(MeshRun run) {
  run.mesh = {};
  run.zero_stage = 0;
  run.schedule = PipelineSchedule::one_f_one_b;
  run.chunks = 1;
  run.recompute = 0;
  run.threads = 1;
  return run_threads(run);
}

namespace {

/// What rounding explains between two runs whose sums are taken in another order, each within the bounds that the known
/// answers set for one (docs/numerics.md): hence twice those.
struct Bounds {
  double logits, loss, gradient, norm, weight;
};

Bounds bounds_of(const MeshRun& run) {
  if (run.dtype == Dtype::f32) return {4e-6, 4e-6, 2e-5, 2e-5, 2e-2};
  const double depth = 12.0 * static_cast<double>(config_of(run.family).layers) + 4;
  const double v = std::exp2(-9);
  return {8 * v * std::sqrt(depth), 8 * v, 8 * v * std::sqrt(3 * depth), 8 * v * std::sqrt(3 * depth), 1};
}

std::string compare(const char* what, const std::map<std::string, std::vector<float>>& some,
                    const std::map<std::string, std::vector<float>>& oracle, double bound) {
  std::string text;
  if (some.size() != oracle.size()) return fmt::format("{}: {} of {} parameters\n", what, some.size(), oracle.size());
  for (const auto& [name, values] : oracle) {
    const auto found = some.find(name);
    if (found == some.end() || found->second.size() != values.size()) {
      text += fmt::format("{} of {} is missing or of another size\n", what, name);
      continue;
    }
    const double error = relative_error(found->second, values);
    if (!(error <= bound)) text += fmt::format("{} of {}: off by {:.2e}, allowed {:.2e}\n", what, name, error, bound);
  }
  return text;
}

std::string compare(const char* what, const std::vector<double>& some, const std::vector<double>& oracle,
                    double bound) {
  std::string text;
  for (std::size_t i = 0; i < oracle.size(); ++i) {
    const double error = std::abs(some.at(i) / oracle[i] - 1);
    if (!(error <= bound)) text += fmt::format("{} {}: off by {:.2e}, allowed {:.2e}\n", what, i, error, bound);
  }
  return text;
}

}  // namespace

std::string difference(const MeshRun& run, const MeshResult& result, const MeshResult& oracle) {
  const bool same_sums = run.mesh.tensor == 1 && run.mesh.context == 1;
  const Bounds bounds = same_sums ? Bounds{} : bounds_of(run);
  std::string text = compare("held-out loss", {result.held_out}, {oracle.held_out}, bounds.loss);
  // Adam divides by the root of the second moment: losses after steps inherit what rounding noise moved.
  text += compare("loss of step", result.losses, oracle.losses, 5 * bounds.loss);
  text += compare("norm of step", result.norms, oracle.norms, 5 * bounds.norm);
  text += compare("gradient", result.gradients, oracle.gradients, bounds.gradient);
  text += compare("weight", result.weights, oracle.weights, bounds.weight);
  if (same_sums) text += compare("second moment", result.moments, oracle.moments, 0);
  for (std::size_t row = 0; row < oracle.logits.size(); ++row) {
    double largest = 0;
    double worst = 0;
    for (std::size_t i = 0; i < oracle.logits[row].size(); ++i) {
      const double logit = oracle.logits[row][i];
      largest = std::max(largest, std::abs(logit));
      worst = std::max(worst, std::abs(result.logits.at(row).at(i) - logit));
    }
    if (!(worst <= bounds.logits * largest)) text += fmt::format("logits of row {}: off by {:.2e}\n", row, worst);
  }
  if (same_sums && result.matches != oracle.matches) text += "exact matches\n";
  return text;
}

}  // namespace hearth::test
