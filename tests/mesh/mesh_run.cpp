#include "mesh/mesh_run.h"

#include <cmath>
#include <mutex>
#include <numeric>

#include "parallel/thread_world.h"
#include "support/worse.h"
#include "trainer/evaluate.h"
#include "trainer/probe.h"
#include "trainer/weights.h"

namespace hearth::test {

namespace {

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

PlacedOptions placed(const MeshRun& run, const Rows& rows) {
  PlacedOptions options;
  options.compute = run.dtype;
  options.zero_stage = run.zero_stage;
  options.poison = Poison::yes;
  options.recompute = run.recompute;
  options.capacity = capacity_for(rows, run.microbatch_rows);
  options.schedule = run.schedule;
  options.chunks = run.chunks;
  options.order = run.order;
  return options;
}

/// The largest error of a row's logits, of the largest logit.
double logits_error(const std::vector<float>& some, const std::vector<float>& oracle) {
  double largest = 0;
  double worst = 0;
  for (std::size_t i = 0; i < oracle.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(oracle[i])));
    worst = test::worse(worst, std::abs(static_cast<double>(some.at(i)) - oracle[i]));
  }
  return worst == 0 ? 0 : worst / largest;
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

/// Native ones are what a run on such a processor makes.
Bf16Products products_here() {
  return has_native_bf16_products() ? Bf16Products::native : Bf16Products::widened;
}

}  // namespace

std::string MeshRun::text() const {
  return fmt::format("{} {} zero {} {} chunks {} recompute {} {} threads {} smoothing {}{} rows {} of {} {}", family,
                     mesh.text(), zero_stage, name_of(schedule), chunks, recompute, name_of(dtype), threads, smoothing,
                     order == SumOrder::fast ? " fast" : "", microbatch_rows, rows_a_step, rows);
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
  } else if (family == "twelve") {
    config.architecture = Architecture::qwen2;
    config.attention_bias = true;
    config.heads = 12;
    config.tied = true;
  } else if (family == "vocabulary_97") {
    config.heads = 12;
    config.key_value_heads = 1;
    config.vocabulary = 97;
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

namespace {

ListedRows counted_rows(std::int64_t vocabulary, const std::vector<int>& counts) {
  const Key key = Key(13).with("counted");
  std::uint64_t index = 0;
  std::vector<Row> rows;
  for (const int count : counts) {
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> labels;
    for (int t = 0; t < 9; ++t) {
      ids.push_back(static_cast<std::int32_t>(key.below(static_cast<std::uint64_t>(vocabulary), index++)));
      labels.push_back(t > 8 - count ? ids.back() : -100);
    }
    if (count == 0) index -= 9;  // the others are the same with and without it
    rows.push_back(labelled_row(std::move(ids), labels));
  }
  return ListedRows(std::move(rows));
}

ListedRows long_rows(std::int64_t vocabulary) {
  const Key key = Key(17).with("long");
  std::uint64_t index = 0;
  std::vector<Row> rows;
  for (const int tokens : {1100, 1300}) {
    std::vector<std::int32_t> ids;
    for (int t = 0; t < tokens; ++t) {
      ids.push_back(static_cast<std::int32_t>(key.below(static_cast<std::uint64_t>(vocabulary), index++)));
    }
    rows.push_back(labelled_row(std::move(ids), {}));
  }
  return ListedRows(std::move(rows));
}

ListedRows mixed_rows(std::int64_t vocabulary) {
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

}  // namespace

ListedRows rows_of(std::int64_t vocabulary, const std::string& kind) {
  if (kind == "uneven") return counted_rows(vocabulary, {1, 7, 0, 5});
  if (kind == "counted") return counted_rows(vocabulary, {1, 7, 5});
  if (kind == "long") return long_rows(vocabulary);
  require(kind == "mixed", "a kind of rows of the mesh tests");
  return mixed_rows(vocabulary);
}

std::vector<std::int64_t> rows_of_step(const MeshRun& run, std::int64_t step) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(step == 2 ? run.rows_a_step - 1 : run.rows_a_step));
  std::iota(rows.begin(), rows.end(), step * run.rows_a_step);
  return rows;
}

StepOptions step_options(const MeshRun& run) {
  StepOptions step;
  step.microbatch_rows = run.microbatch_rows;
  step.adamw.decay = 0.1;
  step.max_norm = 0.5;
  return step;
}

MeshModel::MeshModel(const MeshRun& run, Communicator& world)
    : backend(make_cpu_backend({.threads = run.threads, .bf16_products = products_here()})),
      config(config_of(run.family)),
      mesh(world, run.mesh),
      model(config, run.smoothing, Init::normal, {.tensor = run.mesh.tensor, .context = run.mesh.context}),
      rows(rows_of(config.vocabulary, run.rows)),
      on(model, mesh, placed(run, rows), backend->ops(), backend->memory()) {
  fill(on.groups);
}

ByName MeshModel::collected(const std::function<Tensor(const FlatGroup::Piece&)>& part) {
  ByName all;
  collect(model, on.groups, mesh, part, [&](const Parameter& parameter, std::span<const float> values) {
    all[parameter.name].assign(values.begin(), values.end());
  });
  return all;
}

void MeshModel::check_copies() {
  ByName owned = collected([](const FlatGroup::Piece& piece) { return piece.weight; });
  for (const Parameter& parameter : model.parameters()) {  // from the first rank to all
    auto& values = owned[parameter.name];
    values.resize(static_cast<std::size_t>(parameter.full.elements()), 0.0F);
    mesh.world().sum(Tensor(values.data(), Dtype::f32, {parameter.full.elements()})).wait();
  }
  const Communicator& tensor = mesh.along(Axis::tensor);
  for (int i = 0; i < on.groups.count(); ++i) {
    FlatGroup& group = on.groups.group(i);
    const auto weights = group.whole();
    for (std::size_t p = 0; p < weights.size(); ++p) {
      const Parameter& parameter = group.parameters()[p];
      const int piece = piece_of(parameter, tensor.rank(), tensor.size());
      for (const HeldStretch& held : stretches_of(parameter, piece, {0, weights[p].elements()})) {
        for (std::int64_t k = 0; k < held.full.elements(); ++k) {
          const std::int64_t row = k / held.full.columns;
          const std::int64_t column = k % held.full.columns;
          const float owner =
              owned[parameter.name][static_cast<std::size_t>(held.full.begin + row * held.full.stride + column)];
          const std::int64_t at = held.at + row * held.pitch + column;
          const bool equal = weights[p].dtype == Dtype::f32
                                 ? weights[p].typed<float>()[at] == owner
                                 : static_cast<float>(weights[p].typed<Bf16>()[at]) == static_cast<float>(Bf16(owner));
          require(equal, "every rank computes with the weights of their owners");
        }
      }
    }
    group.release();
  }
}

MeshResult run_rank(const MeshRun& run, Communicator& world) {
  MeshModel m(run, world);
  MeshResult result;
  result.held_out = mean_loss(m.on.pipeline, m.rows);
  result.matches = exact_matches(m.on.pipeline, m.rows);
  Probed probed = probe(m.on.pipeline, m.on.groups, m.rows, {.gradients = true});
  result.gradients = std::move(probed.gradients);
  result.logits = std::move(probed.logits);
  Stepper stepper(m.on.pipeline, m.on.groups, m.backend->ops(), m.backend->memory(), m.rows, step_options(run));
  for (int k = 0; k < run.steps; ++k) {
    const StepResult done = stepper.step(k, rows_of_step(run, k), 1e-2);
    require(done.updated, "a step of the mesh tests is finite");
    result.losses.push_back(done.loss);
    result.norms.push_back(done.norm);
  }
  m.check_copies();
  result.weights = m.collected([](const FlatGroup::Piece& piece) { return piece.weight; });
  result.first_moments = m.collected([](const FlatGroup::Piece& piece) { return piece.first_moment; });
  result.moments = m.collected([](const FlatGroup::Piece& piece) { return piece.second_moment; });
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
  run.order = SumOrder::fixed;
  return run_threads(run);
}

/// Between two runs whose sums are taken in another order, each within the bounds that the known answers set for one
/// (docs/numerics.md): hence twice those.
MeshErrors bounds_of(const MeshRun& run) {
  if (run.dtype == Dtype::f32) return {4e-6, 4e-6, 2e-5, 2e-5, 2e-2};
  const double depth = 12.0 * static_cast<double>(config_of(run.family).layers) + 4;
  const double v = std::exp2(-9);
  return {8 * v * std::sqrt(depth), 8 * v, 8 * v * std::sqrt(3 * depth), 8 * v * std::sqrt(3 * depth), 1};
}

Allowed allowed_of(const MeshRun& run) {
  const bool same = run.mesh.tensor == 1 && run.mesh.context == 1 && run.order == SumOrder::fixed;
  return same ? Allowed::nothing : Allowed::rounding;
}

namespace {

std::string compare(const char* what, const ByName& some, const ByName& oracle, double bound) {
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
  return difference(run, result, oracle, allowed_of(run));
}

std::string difference(const MeshRun& run, const MeshResult& result, const MeshResult& oracle, Allowed allowed) {
  const bool same_sums = allowed == Allowed::nothing;
  const MeshErrors bounds = same_sums ? MeshErrors{} : bounds_of(run);
  std::string text = compare("held-out loss", {result.held_out}, {oracle.held_out}, bounds.loss);
  // Adam divides by the root of the second moment: losses after steps inherit what rounding noise moved.
  text += compare("loss of step", result.losses, oracle.losses, 5 * bounds.loss);
  text += compare("norm of step", result.norms, oracle.norms, 5 * bounds.norm);
  text += compare("gradient", result.gradients, oracle.gradients, bounds.gradient);
  text += compare("weight", result.weights, oracle.weights, bounds.weight);
  if (same_sums) text += compare("second moment", result.moments, oracle.moments, 0);
  // After one step a first moment is a share of the step's gradient times the clip's factor, which is one over the norm.
  if (same_sums || run.steps == 1) {
    text += compare("first moment", result.first_moments, oracle.first_moments, bounds.gradient + bounds.norm);
  }
  for (std::size_t row = 0; row < oracle.logits.size(); ++row) {
    const double error = logits_error(result.logits.at(row), oracle.logits[row]);
    if (!(error <= bounds.logits)) text += fmt::format("logits of row {}: off by {:.2e}\n", row, error);
  }
  if (same_sums && result.matches != oracle.matches) text += "exact matches\n";
  return text;
}

MeshErrors errors_of(const MeshResult& result, const MeshResult& oracle) {
  const auto by_name = [](const ByName& some, const ByName& wanted) {
    double worst = 0;
    for (const auto& [name, values] : wanted) worst = test::worse(worst, relative_error(some.at(name), values));
    return worst;
  };
  const auto by_step = [](const std::vector<double>& some, const std::vector<double>& wanted) {
    double worst = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) worst = test::worse(worst, std::abs(some.at(i) / wanted[i] - 1));
    return worst;
  };
  MeshErrors errors;
  for (std::size_t row = 0; row < oracle.logits.size(); ++row) {
    errors.logits = test::worse(errors.logits, logits_error(result.logits.at(row), oracle.logits[row]));
  }
  errors.loss = test::worse(by_step(result.losses, oracle.losses), std::abs(result.held_out / oracle.held_out - 1));
  errors.gradient = by_name(result.gradients, oracle.gradients);
  errors.norm = by_step(result.norms, oracle.norms);
  errors.weight = by_name(result.weights, oracle.weights);
  return errors;
}

}  // namespace hearth::test
