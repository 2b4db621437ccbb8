// A block on a bench: random weights and rows in one dtype, everything a pass needs.
#pragma once

#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "model/batch.h"
#include "model/block.h"
#include "model/sinks.h"

namespace hearth::test {

/// Documents of these lengths end to end, targets the next token, weights uneven.
Documents documents(const std::vector<std::int32_t>& lengths, std::int64_t vocabulary, std::uint64_t seed);

/// Angles that differ from dim to dim, and a factor.
Rotary rotary(std::int64_t head_width);

class BlockBench {
 public:
  BlockBench(const Block& block, Backend& backend, Dtype dtype, const Documents& documents, std::int64_t head_width);

  Tensor tensor(Dtype dtype, Dims dims);  // zeros, living as long as the bench
  Tensor noise(Dims dims, std::uint64_t stream, double spread = 1);
  Pass pass(GradientSink& sink);
  Batch& batch() { return batch_; }
  std::vector<Tensor>& weights() { return weights_; }
  std::vector<Tensor>& gradients() { return gradients_; }
  Backend& backend() { return backend_; }
  KeptMemory& kept() { return kept_; }
  Arena& scratch() { return scratch_; }
  BatchShape shape() const { return {batch_.tokens.rows(), batch_.tokens.rows()}; }

 private:
  Backend& backend_;
  Dtype dtype_;
  std::vector<Buffer> buffers_;
  Arena scratch_;
  KeptMemory kept_;
  std::unique_ptr<Communicator> alone_;
  BatchMaker maker_;
  Batch batch_;
  std::vector<Tensor> weights_;
  std::vector<Tensor> gradients_;
};

}  // namespace hearth::test
