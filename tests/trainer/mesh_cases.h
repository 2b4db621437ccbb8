// Models and meshes that plans are held to: what real ranks do, against what was planned.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "trainer/model_on_mesh.h"

namespace hearth::test {

constexpr std::int64_t row_tokens = 40;
constexpr std::int64_t microbatch_rows = 2;

/// A small Llama, and one of each other kind: tied, with biases, with norms of queries and padded, with a window.
ModelConfig small_llama();
std::vector<std::pair<std::string, ModelConfig>> small_models();

struct MeshCase {
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

  std::string text() const;
  PlacedOptions placed() const;
};
/// Each axis, each with each, with ZeRO, schedules, recomputation and both orders of sums.
std::vector<MeshCase> mesh_cases();

Transformer cut(const ModelConfig& config, const MeshShape& mesh);

/// Called on every rank after every step.
using Look = std::function<void(int steps_done, Mesh& mesh, const Memory& memory)>;
/// Steps of `microbatches` microbatches, of all data ranks together, of the full length.
void run_steps(const ModelConfig& config, const MeshCase& c, int steps, std::int64_t microbatches, const Look& look);

}  // namespace hearth::test
