#include "trainer/stage.h"

#include <algorithm>

#include "model/sinks.h"

namespace hearth {

Stage::Stage(const Transformer& model, Groups& groups, Mesh& mesh, Ops& ops, Memory& memory,
             const StageOptions& options)
    : model_(model),
      groups_(groups),
      mesh_(mesh),
      ops_(ops),
      options_(options),
      batches_(rotary_of(model.config()), options.capacity, options.compute, ops, memory),
      scratch_(memory),
      kept_memory_(memory),
      alone_(make_self_communicator()) {}

bool Stage::recomputed(int block) const {
  const int layer = model_.layer_of(block);
  return options_.recompute > 0 && layer >= 0 && layer % options_.recompute == 0;
}

std::size_t Stage::kept_bytes(const Transformer& model, const StageOptions& options) {
  const BatchShape shape = {options.capacity, options.capacity};
  const std::size_t row = static_cast<std::size_t>(model.config().width) * size_of(options.compute);
  std::size_t bytes = 0;
  std::size_t largest_recomputed = 0;
  for (int i = 0; i < model.blocks(); ++i) {
    if (i > 0) bytes += row * static_cast<std::size_t>(options.capacity);  // its input
    const std::size_t kept = model.block(i).kept_bytes(shape, options.compute);
    const int layer = model.layer_of(i);
    if (options.recompute > 0 && layer >= 0 && layer % options.recompute == 0) {
      largest_recomputed = std::max(largest_recomputed, kept);
    } else {
      bytes += kept;
    }
  }
  return bytes + largest_recomputed;
}

Pass Stage::pass(int block, GradientSink& sink, std::span<const Tensor> weights, const Batch& batch) {
  return {ops_,
          sink,
          weights,
          scratch_,
          mesh_.along(Axis::tensor),
          mesh_.along(Axis::context),
          *alone_,
          Key().with(model_.block(block).name()),
          batch,
          nullptr};
}

/// The weights of `block`, with those of `next` (none: -1) set on their way before anything is computed.
std::span<const Tensor> Stage::gather(int block, int next) {
  const auto weights = groups_.whole(block);
  if (next >= 0) groups_.prefetch(next);
  return weights;
}

void Stage::forward(const Batch& batch, const BatchShape& shape, bool keep, const Inspect& inspect) {
  inputs_.clear();
  activations_.clear();
  IgnoringSink sink;
  Tensor x = batch.tokens;
  for (int i = 0; i + 1 < model_.blocks(); ++i) {
    const Block& block = model_.block(i);
    const auto weights = gather(i, i + 1);
    Pass call = pass(i, sink, weights, batch);
    inputs_.push_back(std::make_unique<Kept>(kept_memory_, shape, options_.compute, block.out(shape)));
    activations_.push_back(block.activations(shape, options_.compute, kept_memory_));
    const Tensor y = inputs_.back()->hold();  // (T, D), the next block's x
    block.forward(x, y, *activations_.back(), call);
    if (inspect) inspect(i, "forward", y);
    if (!keep || recomputed(i)) activations_.back()->shed();
    if (!keep && i > 0) inputs_[static_cast<std::size_t>(i) - 1]->shed();
    groups_.release(i);
    x = y;
  }
}

void Stage::head(const Batch& batch, Out losses, const Inspect& inspect) {
  const int last = model_.blocks() - 1;
  const Tensor x = **inputs_.back();  // (T, D), and its gradient afterwards
  const auto weights = gather(last, last - 1);
  AccumulatingSink sink(ops_, groups_.begin_gradients(last));
  Pass call = pass(last, sink, weights, batch);
  model_.head().loss_and_gradient(x, losses, x, call);
  sink.join();
  if (inspect) {
    inspect(last, "forward", losses);
    inspect(last, "gradient", x);
  }
  groups_.release(last);
  groups_.reduce(last);
}

void Stage::backward(const Batch& batch, const Inspect& inspect) {
  const Tensor dx = **inputs_.back();  // (T, D): dy of each block becomes its dx in place
  for (int i = model_.blocks() - 2; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    const Block& block = model_.block(i);
    const auto weights = gather(i, i - 1);
    const Tensor x = i == 0 ? batch.tokens : **inputs_[at - 1];
    Activations& kept = *activations_[at];
    if (kept.is_shed()) {
      IgnoringSink ignoring;
      Pass again = pass(i, ignoring, weights, batch);
      Scratch scratch(scratch_);
      block.forward(x, scratch.take(options_.compute, dx.dims), kept, again);
    }
    AccumulatingSink sink(ops_, groups_.begin_gradients(i));
    Pass call = pass(i, sink, weights, batch);
    block.backward(x, kept, dx, i == 0 ? Tensor() : dx, call);
    sink.join();
    if (inspect && i > 0) inspect(i, "gradient", dx);
    kept.shed();
    if (i > 0) inputs_[at - 1]->shed();
    groups_.release(i);
    groups_.reduce(i);
  }
}

void Stage::nothing(bool gradients) {
  const int blocks = model_.blocks();
  for (int i = 0; i < blocks - 1; ++i) {
    gather(i, i + 1);
    groups_.release(i);
  }
  gather(blocks - 1, gradients ? blocks - 2 : -1);
  groups_.release(blocks - 1);
  if (!gradients) return;
  groups_.begin_gradients(blocks - 1);
  groups_.reduce(blocks - 1);
  for (int i = blocks - 2; i >= 0; --i) {
    gather(i, i - 1);
    groups_.begin_gradients(i);
    groups_.release(i);
    groups_.reduce(i);
  }
}

void Stage::forward_backward(const Documents* documents, Out losses, const Inspect& inspect) {
  if (documents == nullptr) return nothing(true);
  const Batch batch = batches_.make(*documents);
  const BatchShape shape = {batch.tokens.rows(), options_.capacity};
  forward(batch, shape, true, inspect);
  head(batch, losses, inspect);
  backward(batch, inspect);
  inputs_.clear();
  activations_.clear();
}

void Stage::evaluate(const Documents* documents, Out losses) {
  if (documents == nullptr) return nothing(false);
  const Batch batch = batches_.make(*documents);
  const BatchShape shape = {batch.tokens.rows(), options_.capacity};
  forward(batch, shape, false, {});
  const int last = model_.blocks() - 1;
  IgnoringSink sink;
  const auto weights = gather(last, -1);
  Pass call = pass(last, sink, weights, batch);
  const auto kept = model_.head().activations(shape, options_.compute, kept_memory_);
  model_.head().forward(**inputs_.back(), losses.as({losses.rows(), 1}), *kept, call);
  groups_.release(last);
  inputs_.clear();
  activations_.clear();
}

void Stage::logits(const Documents& documents, const std::function<void(std::int64_t, In)>& take) {
  const Batch batch = batches_.make(documents);
  forward(batch, {batch.tokens.rows(), options_.capacity}, false, {});
  const int last = model_.blocks() - 1;
  const Tensor x = **inputs_.back();  // (T, D)
  IgnoringSink sink;
  const auto weights = gather(last, -1);
  Pass call = pass(last, sink, weights, batch);
  constexpr std::int64_t chunk = 256;
  for (std::int64_t row = 0; row < x.rows(); row += chunk) {
    const std::int64_t rows = std::min(chunk, x.rows() - row);
    Scratch scratch(scratch_);
    const Tensor some = scratch.take(Dtype::f32, {rows, model_.config().vocabulary});
    model_.head().logits(x.row_slice(row, rows), some, call);
    take(row, some);
  }
  groups_.release(last);
  inputs_.clear();
  activations_.clear();
}

}  // namespace hearth
