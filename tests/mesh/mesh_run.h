// A tiny model trained on any mesh, to be held against the same on one rank.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "parallel/mesh.h"
#include "trainer/model_on_mesh.h"
#include "trainer/rows.h"
#include "trainer/step.h"

namespace hearth::test {

struct MeshRun {
  std::string family = "llama";  // see config_of
  MeshShape mesh;                // of as many ranks as the communicator has
  int zero_stage = 0;
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  int chunks = 1;
  std::int64_t recompute = 0;
  Dtype dtype = Dtype::f32;
  int steps = 3;
  int threads = 1;
  double smoothing = 0;
  SumOrder order = SumOrder::fixed;
  std::int64_t microbatch_rows = 2;
  std::int64_t rows_a_step = 8;  // the third step has one row less: its last microbatch is short
  std::string rows = "mixed";    // see rows_of
  std::string text() const;
};

/// llama (untied), llama_tied, llama_three (6 heads, 3 key-value heads), qwen2 (biases, one key-value head), qwen3 (norms
/// on heads, tied), mistral (a window); twelve (12 heads, 2 key-value heads, biases, tied), vocabulary_97 (12 heads, one
/// key-value head). Widths and vocabulary are odd: hidden 37, vocabulary 61 or 97.
ModelConfig config_of(const std::string& family);
/// Those that a tensor axis of 2 and 4 can cut.
std::vector<std::string> families();
/// mixed: 24 rows of 5 to 31 tokens, some without a target, some of several documents. uneven: four rows of nine tokens
/// with 1, 7, 0 and 5 targets. counted: the same without the one that has none. long: two rows of 1100 and 1300 tokens, longer
/// than a chunk of the head on every rank of a small mesh.
ListedRows rows_of(std::int64_t vocabulary, const std::string& kind = "mixed");
/// The rows of step `step` of a run, from 0.
std::vector<std::int64_t> rows_of_step(const MeshRun& run, std::int64_t step);
StepOptions step_options(const MeshRun& run);

using ByName = std::map<std::string, std::vector<float>>;  // whole parameters

/// The model of a run on this rank; its weights are those that all runs of the family begin with.
struct MeshModel {
  MeshModel(const MeshRun& run, Communicator& world);
  /// One part of every parameter, on the first rank.
  ByName collected(const std::function<Tensor(const FlatGroup::Piece&)>& part);
  /// Throws where the weights that some rank computes with are not those of their owners. Collective.
  void check_copies();

  std::unique_ptr<Backend> backend;
  ModelConfig config;
  Mesh mesh;
  Transformer model;
  ListedRows rows;
  ModelOnMesh on;
};

struct MeshResult {
  double held_out = 0;  // loss before the first step
  std::vector<double> losses;
  std::vector<double> norms;
  std::vector<bool> matches;
  ByName gradients;      // of all rows, before the first step
  ByName first_moments;  // after the last step; after one step a share of the clipped gradient
  ByName weights;        // after the last step
  ByName moments;        // the second, after the last step
  std::vector<std::vector<float>> logits;
  bool operator==(const MeshResult&) const = default;
};

/// On this rank of `world`; whole on the first rank, losses and norms on all. Every rank checks that it updates copies
/// of a weight to the same bits as the others do.
MeshResult run_rank(const MeshRun& run, Communicator& world);
/// On as many threads as the mesh has ranks.
MeshResult run_threads(const MeshRun& run);
/// The same model, data and step on one rank.
MeshResult run_alone(MeshRun run);

/// What a mesh may be off by: nothing where the sums and their order are the oracle's (no tensor or context axis, fixed
/// order), else what rounding explains.
enum class Allowed { nothing, rounding };
Allowed allowed_of(const MeshRun& run);
/// Empty where `result` is the oracle's, else a line for each number or parameter that is off by more than is allowed.
std::string difference(const MeshRun& run, const MeshResult& result, const MeshResult& oracle);
std::string difference(const MeshRun& run, const MeshResult& result, const MeshResult& oracle, Allowed allowed);

/// The largest errors of a result, of the largest logit, relative, or in relative L2 of a parameter.
struct MeshErrors {
  double logits = 0, loss = 0, gradient = 0, norm = 0, weight = 0;
};
MeshErrors errors_of(const MeshResult& result, const MeshResult& oracle);
/// What rounding explains of each.
MeshErrors bounds_of(const MeshRun& run);

}  // namespace hearth::test
