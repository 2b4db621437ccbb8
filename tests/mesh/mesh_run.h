// A tiny model trained on any mesh, to be held against the same on one rank.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/config.h"
#include "parallel/mesh.h"
#include "parallel/schedule.h"
#include "trainer/rows.h"

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
  std::string text() const;
};

/// llama (untied), llama_tied, qwen2 (biases, 3 key-value heads), qwen3 (norms on heads, tied), mistral (a window).
/// Widths and vocabulary are odd: hidden 37, vocabulary 61.
ModelConfig config_of(const std::string& family);
std::vector<std::string> families();
/// 24 rows of 5 to 31 tokens, some without a target, some of several documents.
ListedRows rows_of(std::int64_t vocabulary);

struct MeshResult {
  double held_out = 0;  // loss before the first step
  std::vector<double> losses;
  std::vector<double> norms;
  std::vector<bool> matches;
  std::map<std::string, std::vector<float>> gradients;  // of the first step's rows, before it
  std::map<std::string, std::vector<float>> weights;    // after the last step
  std::map<std::string, std::vector<float>> moments;    // the second, after the last step
  std::vector<std::vector<float>> logits;               // of the first rows
  bool operator==(const MeshResult&) const = default;
};

/// On this rank of `world`; whole on the first rank, losses and norms on all. Every rank checks that it updates copies
/// of a weight to the same bits as the others do.
MeshResult run_rank(const MeshRun& run, Communicator& world);
/// On as many threads as the mesh has ranks.
MeshResult run_threads(const MeshRun& run);
/// The same model, data and step on one rank.
MeshResult run_alone(MeshRun run);

/// Empty where `result` is the oracle's: to the bit without a tensor or context axis; else within what rounding explains.
std::string difference(const MeshRun& run, const MeshResult& result, const MeshResult& oracle);

}  // namespace hearth::test
