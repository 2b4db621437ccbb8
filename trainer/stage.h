// The single weaving point: prefetch, gather, forward, keep or shed, release, and the mirror image backward. Blocks
// know of none of it.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/batch.h"
#include "model/transformer.h"
#include "parallel/mesh.h"
#include "trainer/groups.h"

namespace hearth {

/// What a Stage needs to know beside the model.
struct StageOptions {
  Dtype compute = Dtype::f32;
  /// 0: everything is kept; k: the blocks of every k-th layer run forward again before their backward.
  std::int64_t recompute = 0;
  std::int64_t capacity = 0;  // the most tokens that a microbatch has
};

/// Runs microbatches of this rank through all blocks. Every rank of the data axis makes the same calls in the same
/// order; a rank without rows takes part with none.
class Stage {
 public:
  Stage(const Transformer& model, Groups& groups, Mesh& mesh, Ops& ops, Memory& memory, const StageOptions& options);

  /// Called with the place of trouble: block, and what was looked at ("forward", "gradient").
  using Inspect = std::function<void(int block, const char* what, In tensor)>;

  /// One microbatch, forward and backward; its gradients reduced onto their owners. losses: (T) f32 of the rows; null
  /// `documents`: this rank has none in this round and adds zeros.
  void forward_backward(const Documents* documents, Out losses, const Inspect& inspect = {});
  /// Losses alone. Same rules.
  void evaluate(const Documents* documents, Out losses);
  /// Logits by chunks of rows: (rows, V), f32.
  void logits(const Documents& documents, const std::function<void(std::int64_t first, In rows)>& take);

  /// Takes part in a round of logits without rows.
  void no_logits() { nothing(false); }

  const Transformer& model() const { return model_; }
  std::int64_t capacity() const { return options_.capacity; }
  /// Bytes of activations that one microbatch holds between forward and backward, before anything is allocated.
  static std::size_t kept_bytes(const Transformer& model, const StageOptions& options);

 private:
  Pass pass(int block, GradientSink& sink, std::span<const Tensor> weights, const Batch& batch);
  std::span<const Tensor> gather(int block, int next);
  bool recomputed(int block) const;
  void forward(const Batch& batch, const BatchShape& shape, bool keep, const Inspect& inspect);
  void backward(const Batch& batch, const Inspect& inspect);
  void head(const Batch& batch, Out losses, const Inspect& inspect);
  void nothing(bool gradients);

  const Transformer& model_;
  Groups& groups_;
  Mesh& mesh_;
  Ops& ops_;
  StageOptions options_;
  BatchMaker batches_;
  Arena scratch_;
  KeptMemory kept_memory_;
  std::unique_ptr<Communicator> alone_;
  std::vector<std::unique_ptr<Kept>> inputs_;              // by block: x
  std::vector<std::unique_ptr<Activations>> activations_;  // by block
};

}  // namespace hearth
