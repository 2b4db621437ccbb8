// Language-model head and loss in one: logits are made once, chunk by chunk, and never kept, recomputed or deferred.
// Each tensor rank has the columns of some of the vocabulary. Softmax and losses need four statistics of each row, which
// are gathered and folded; (T, V) is never gathered. Rows that pad a piece of the weight are no tokens: their columns
// take no part in anything.
#pragma once

#include "model/block.h"

namespace hearth {

class Head final : public Block {
 public:
  static constexpr std::int64_t chunk = 256;  // rows of logits that exist at once

  /// `parameter` is the name of its weight: "head", or "embedding" when the ends are tied.
  Head(std::string parameter, std::int64_t vocabulary, std::int64_t width, Law law, double smoothing = 0,
       AxisSizes axes = {});
  const std::string& name() const override { return name_; }
  std::vector<Parameter> parameters() const override;
  Dims out(const BatchShape& shape) const override { return {shape.tokens, 1}; }
  std::vector<std::size_t> kept_sizes(const BatchShape&, Dtype) const override { return {}; }
  ScratchBytes scratch_bytes(const BatchShape& shape, Dtype compute) const override;
  std::unique_ptr<Activations> activations(const BatchShape&, Dtype, KeptMemory&) const override;

  /// Losses alone, for evaluation, the same on every tensor rank.
  ///   x: (T / t, D)   y: (T, 1), f32 (f64): loss of each row, 0 without target.
  void forward(In x, Out y, Activations& kept, Pass& pass) const override;
  /// A head has no separate backward: throws. Use loss_and_gradient.
  void backward(In x, const Activations& kept, In dy, Out dx, Pass& pass) const override;
  /// losses as forward; dx = the gradient of sum over rows of weight * loss; the weight's gradient into the sink. The
  /// weights (batch.weights) hold every denominator.    x, dx: (T / t, D); dx may be x.   losses: (T), f32 (f64)
  void loss_and_gradient(In x, Out losses, Out dx, Pass& pass) const;
  /// y = x W^T, whole on every tensor rank.    x: (R, D), the same rows on every tensor rank   y: (R, V), f32 (f64)
  void logits(In x, Out y, Pass& pass) const;

  std::int64_t vocabulary() const { return vocabulary_; }

 private:
  Interval columns_of(int tensor_rank) const;
  void measure(In x, In targets, Out logits, Out statistics, Pass& pass) const;

  std::string name_ = "head";
  std::string parameter_;
  std::int64_t vocabulary_;
  std::int64_t width_;
  Law law_;
  double smoothing_;
  AxisSizes axes_;
};

}  // namespace hearth
