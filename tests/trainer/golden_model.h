// A model of the known answers, run on ranks of the bench, and what is expected of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "model/hf/safetensors.h"
#include "trainer/model_on_mesh.h"
#include "trainer/rows.h"
#include "trainer/step.h"

namespace hearth::test {

/// expected.safetensors, read as what it is.
class Expected {
 public:
  explicit Expected(const Path& path) : file_(path) {}
  bool has(const std::string& name) const { return file_.has(name); }
  std::vector<float> floats(const std::string& name) const;
  std::vector<double> doubles(const std::string& name) const;
  std::vector<std::int32_t> ids(const std::string& name) const;
  std::vector<std::string> names() const { return file_.names(); }
  std::vector<std::uint64_t> dims(const std::string& name) const { return file_.info(name).dims; }

 private:
  hf::SafetensorsFile file_;
};

/// The rows of batch k of input_ids and labels.
std::vector<Row> batch_rows(const Expected& expected, std::size_t k);
/// The one packed row.
Row packed_row(const Expected& expected);

struct Setup {
  Dtype compute = Dtype::f32;
  int zero_stage = 0;
  std::int64_t recompute = 0;
  int threads = 1;
  double smoothing = 0;
  std::int64_t microbatch_rows = 1;
  Bf16Products products = Bf16Products::widened;
  bool trainable = true;
  MeshShape mesh;  // its data axis is what is left of the ranks
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  int chunks = 1;
};

/// One rank's model, with the weights of a folder.
struct Bench {
  Bench(const Path& folder, const Setup& setup, Communicator& world, std::int64_t capacity);

  std::unique_ptr<Backend> backend;
  std::unique_ptr<Mesh> mesh;
  std::unique_ptr<Transformer> model;
  std::unique_ptr<ModelOnMesh> on;
  /// A stepper as the known answers were made: see the README of the known answers.
  std::unique_ptr<Stepper> stepper(const Rows& rows, std::int64_t microbatch_rows);
};

/// |a - b| / |b|, in L2.
double relative_error(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace hearth::test
