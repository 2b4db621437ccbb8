#include "trainer/stage_scratch.h"

#include <algorithm>

#include "model/tensor_axis.h"
#include "trainer/stage.h"

namespace hearth {

bool is_recomputed(const Transformer& model, const StageOptions& options, int block) {
  const int layer = model.layer_of(block);
  return options.recompute > 0 && layer >= 0 && layer % options.recompute == 0;
}

BatchShape full_shape(const Transformer& model, const StageOptions& options) {
  const std::int64_t tokens = options.capacity / model.axes().context;
  return {tokens, tokens};
}

namespace {

/// As Stage::logits takes them.
std::size_t room_of_logits(const Transformer& model, const BatchShape& shape, Dtype compute) {
  const ModelConfig& config = model.config();
  const std::int64_t rows = std::min(Head::chunk, shape.tokens);
  const int ranks = model.axes().tensor;
  const std::int64_t piece = (config.vocabulary + ranks - 1) / ranks;
  const std::size_t pieces = ranks == 1 ? 0 : Arena::room(Dtype::f32, {ranks * rows, piece});
  return room_of_all_rows(shape, model.axes(), compute, config.width) +
         Arena::room(Dtype::f32, {rows, config.vocabulary}) + pieces;
}

}  // namespace

StageScratch stage_scratch(const Transformer& model, const StageOptions& options) {
  const BatchShape shape = full_shape(model, options);
  std::vector<Interval> chunks = options.chunks;
  if (chunks.empty()) chunks.push_back({0, model.blocks()});
  StageScratch most;
  for (const Interval& chunk : chunks) {
    for (auto i = static_cast<int>(chunk.begin); i < chunk.end; ++i) {
      const Block& block = model.block(i);
      const ScratchBytes own = block.scratch_bytes(shape, options.compute);
      most.losses = std::max(most.losses, own.forward);
      most.training = std::max({most.training, own.forward, own.backward});
      if (i + 1 == model.blocks()) most.logits = room_of_logits(model, shape, options.compute);
      if (!is_recomputed(model, options, i)) continue;
      // The forward that runs again writes its output into scratch, where nobody reads it.
      most.training = std::max(most.training, Arena::room(options.compute, block.out(shape)) + own.forward);
    }
  }
  return most;
}

}  // namespace hearth
