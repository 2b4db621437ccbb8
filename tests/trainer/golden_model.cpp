#include "trainer/golden_model.h"

#include <cmath>
#include <cstring>

#include "model/hf/config.h"
#include "model/hf/names.h"
#include "model/hf/weight_files.h"
#include "trainer/weights.h"

namespace hearth::test {

namespace {

template <class T>
std::vector<T> values(const hf::SafetensorsFile& file, const std::string& name) {
  const auto bytes = file.bytes(name);
  std::vector<T> all(bytes.size() / sizeof(T));
  std::memcpy(all.data(), bytes.data(), bytes.size());
  return all;
}

}  // namespace

std::vector<float> Expected::floats(const std::string& name) const {
  require(file_.info(name).dtype == hf::Stored::f32, "a known answer is f32");
  return values<float>(file_, name);
}

std::vector<double> Expected::doubles(const std::string& name) const {
  require(file_.info(name).dtype == hf::Stored::f64, "a known answer is f64");
  return values<double>(file_, name);
}

std::vector<std::int32_t> Expected::ids(const std::string& name) const {
  require(file_.info(name).dtype == hf::Stored::i32, "a known answer is i32");
  return values<std::int32_t>(file_, name);
}

std::vector<Row> batch_rows(const Expected& expected, std::size_t k) {
  const auto dims = expected.dims("input_ids");  // (5, B, S)
  const auto ids = expected.ids("input_ids");
  const auto labels = expected.ids("labels");
  std::vector<Row> rows;
  for (std::size_t b = 0; b < dims[1]; ++b) {
    const auto begin = static_cast<std::ptrdiff_t>((k * dims[1] + b) * dims[2]);
    const auto end = begin + static_cast<std::ptrdiff_t>(dims[2]);
    rows.push_back(
        labelled_row({ids.begin() + begin, ids.begin() + end}, {labels.begin() + begin, labels.begin() + end}));
  }
  return rows;
}

Row packed_row(const Expected& expected) {
  return labelled_row(expected.ids("packed.input_ids"), expected.ids("packed.labels"),
                      expected.ids("packed.document_starts"));
}

Bench::Bench(const Path& folder, const Setup& setup, Communicator& world, std::int64_t capacity) {
  const ModelConfig config = hf::read_config(folder);
  const hf::WeightFiles files(folder);
  hf::check_complete(files, config);
  backend = make_cpu_backend({.threads = setup.threads, .bf16_products = setup.products});
  MeshShape shape = setup.mesh;
  shape.data = world.size() / (shape.pipe * shape.context * shape.tensor);
  mesh = std::make_unique<Mesh>(world, shape);
  model = std::make_unique<Transformer>(config, setup.smoothing, Init::normal,
                                        AxisSizes{.tensor = shape.tensor, .context = shape.context});
  PlacedOptions options;
  options.compute = setup.compute;
  options.zero_stage = setup.zero_stage;
  options.trainable = setup.trainable;
  options.poison = Poison::yes;
  options.recompute = setup.recompute;
  options.capacity = capacity;
  options.schedule = setup.schedule;
  options.chunks = setup.chunks;
  on = std::make_unique<ModelOnMesh>(*model, *mesh, options, backend->ops(), backend->memory());
  fill_from_files(on->groups, files);
}

std::unique_ptr<Stepper> Bench::stepper(const Rows& rows, std::int64_t microbatch_rows) {
  StepOptions options;
  options.microbatch_rows = microbatch_rows;
  options.adamw = {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .decay = 0.1};
  options.max_norm = 1;
  return std::make_unique<Stepper>(on->pipeline, on->groups, backend->ops(), backend->memory(), rows, options);
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
    size += static_cast<double>(b[i]) * b[i];
  }
  return size == 0 ? std::sqrt(difference) : std::sqrt(difference / size);
}

}  // namespace hearth::test
