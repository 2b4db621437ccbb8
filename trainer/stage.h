// The single weaving point: prefetch, gather, forward, keep or shed, release, and the mirror image backward. Blocks
// know of none of it.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/batch.h"
#include "model/deferring_sink.h"
#include "model/transformer.h"
#include "parallel/mesh.h"
#include "trainer/groups.h"
#include "trainer/stage_scratch.h"

namespace hearth {

/// What a Stage needs to know beside the model.
struct StageOptions {
  Dtype compute = Dtype::f32;
  /// 0: everything is kept; k: the blocks of every k-th layer run forward again before their backward.
  std::int64_t recompute = 0;
  std::int64_t capacity = 0;  // the most tokens that a microbatch has, those of all context ranks and padding included
  std::vector<Interval> chunks;  // blocks of this stage of the pipeline, ascending; empty: all of them
};

/// Called with the place of trouble: microbatch, block, and what was looked at ("forward", "gradient").
using Inspect = std::function<void(std::int64_t microbatch, int block, const char* what, In tensor)>;

/// When a backward contracts weight gradients.
enum class Contract { at_once, later };

/// One microbatch on its way through the chunks of a stage: its batch, and what is kept between forward and backward.
class Flight {
 public:
  /// This context rank's losses of the microbatch: (T), f32. Valid until the flight is given back, once losses() or the
  /// last chunk's backward ran.
  Tensor losses() const { return losses_; }
  const Batch& batch() const { return batch_; }
  bool idle() const { return idle_; }
  std::int64_t microbatch() const { return microbatch_; }

 private:
  friend class Stage;
  struct Chunk {
    // values[i] is what the i-th block of the chunk reads, null where that is tokens; the last is what the chunk gives.
    std::vector<std::unique_ptr<Kept>> values;
    std::unique_ptr<Kept> gradient;  // in backward: dy of each block becomes its dx in place
    std::vector<std::unique_ptr<Activations>> activations;
    std::vector<std::unique_ptr<DeferringSink>> put_off;  // by block, between backward and contract
  };

  explicit Flight(BatchMaker batches, Buffer losses)
      : batches_(std::move(batches)), losses_buffer_(std::move(losses)) {}

  BatchMaker batches_;
  Buffer losses_buffer_;
  Batch batch_;
  BatchShape shape_;
  Tensor losses_;
  std::vector<Chunk> chunks_;
  std::int64_t microbatch_ = 0;
  bool idle_ = false;
};

/// Runs microbatches through this rank's chunks of blocks. Every rank that sums (data x context) makes the same calls in
/// the same order. An idle flight has no rows: it takes part in gathers and reductions with nothing and zeros, and no
/// block runs for it on any rank of its tensor and context axes.
class Stage {
 public:
  Stage(const Transformer& model, Groups& groups, Mesh& mesh, Ops& ops, Memory& memory, const StageOptions& options);
  ~Stage();

  /// A flight of a microbatch; null: idle. The documents are not needed afterwards. Their number of tokens divides by
  /// the tensor axis (times 2 x context when that is larger than one): see pad_to.
  Flight& begin(std::int64_t microbatch, const Documents* documents);
  /// Whatever it still keeps is given back too.
  void end(Flight& flight);

  /// Memory for what the previous stage gives: (rows, D). Not of the first chunk of all.
  Tensor input(Flight& flight, int chunk);
  /// Through the blocks of a chunk but the head. keep: a backward will come. head_next: loss(), logits() or backward()
  /// of it is the next call.
  void forward(Flight& flight, int chunk, bool keep, bool head_next, const Inspect& inspect);
  /// What a chunk gave: (rows, D), until forget(). Not of an idle flight.
  Tensor output(const Flight& flight, int chunk) const;
  /// What forward() gave is needed no longer.
  void forget(Flight& flight, int chunk);
  /// Memory for the gradient of what a chunk gave: (rows, D). Not of the last chunk of all.
  Tensor output_gradient(Flight& flight, int chunk);
  /// The mirror image, the head first where it is in this chunk; gradients go to their owners, those of `later` when
  /// contract() comes (the head's at once).
  void backward(Flight& flight, int chunk, Contract when, const Inspect& inspect);
  /// The gradient of what the chunk read: (rows, D), until end(). Not of an idle flight, nor of the first chunk of all.
  Tensor input_gradient(const Flight& flight, int chunk) const;
  /// The weight gradients that a backward put off.
  void contract(Flight& flight, int chunk);

  /// After forward() of the last chunk without backward: losses alone.
  void loss(Flight& flight);
  /// After forward() of the last chunk: logits of this context rank's rows, (rows, V), f32, by chunks of rows.
  void logits(Flight& flight, const std::function<void(std::int64_t first, In rows)>& take);

  const Transformer& model() const { return model_; }
  Mesh& mesh() { return mesh_; }
  std::int64_t capacity() const { return options_.capacity; }
  int chunks() const { return static_cast<int>(options_.chunks.size()); }
  bool is_first(int chunk) const { return options_.chunks[static_cast<std::size_t>(chunk)].begin == 0; }
  bool is_last(int chunk) const { return options_.chunks[static_cast<std::size_t>(chunk)].end == model_.blocks(); }
  /// Tokens of a microbatch are padded to a multiple of this.
  std::int64_t multiple() const { return token_multiple(model_.axes()); }

 private:
  Pass pass(int block, GradientSink& sink, std::span<const Tensor> weights, const Batch& batch);
  std::span<const Tensor> gather(int block, int next);
  /// The blocks of a chunk without the head.
  Interval body(int chunk) const;
  std::unique_ptr<Kept> row_memory(const Flight& flight);
  void head(Flight& flight, int chunk, const Inspect& inspect);
  void block_backward(Flight& flight, int chunk, int block, Contract when, const Inspect& inspect);
  void idle_backward(int chunk, Contract when);

  const Transformer& model_;
  Groups& groups_;
  Mesh& mesh_;
  Ops& ops_;
  Memory& memory_;
  StageOptions options_;
  StageScratch needed_;  // of scratch_
  Arena scratch_;
  KeptMemory kept_memory_;
  std::unique_ptr<Communicator> alone_;
  std::vector<std::unique_ptr<Flight>> flights_;  // under way
  std::vector<std::unique_ptr<Flight>> landed_;   // their memory is used again
};

}  // namespace hearth
