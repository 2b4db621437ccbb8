// A model on the ranks of a mesh, ready to run: which stage has which blocks, their weights, and the pipeline.
#pragma once

#include <vector>

#include "parallel/schedule.h"
#include "trainer/groups.h"
#include "trainer/pipeline.h"
#include "trainer/stage.h"

namespace hearth {

struct PlacedOptions {
  Dtype compute = Dtype::f32;
  int zero_stage = 0;
  bool trainable = true;
  Poison poison = Poison::no;
  std::int64_t recompute = 0;  // see StageOptions
  std::int64_t capacity = 0;   // the most tokens that the rows of a microbatch have; padding comes on top
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  int chunks = 1;  // of each stage
  SumOrder order = SumOrder::fixed;
};

/// Relative cost of a block for a microbatch of `tokens` tokens: multiplications of forward and backward a token, with
/// attention over half of the tokens. What stages are balanced by.
double cost_of(const Transformer& model, int block, std::int64_t tokens);
/// Chunks of blocks, by virtual stage (chunk * stages + stage). Throws Kind::usage where there are fewer blocks.
std::vector<Interval> virtual_stages(const Transformer& model, int stages, int chunks, std::int64_t tokens);

/// Weights are zero until they are filled. Everything referred to must outlive it.
struct ModelOnMesh {
  ModelOnMesh(const Transformer& model, Mesh& mesh, const PlacedOptions& options, Ops& ops, Memory& memory);

  Groups groups;
  Stage stage;
  Pipeline pipeline;
};

}  // namespace hearth
