// What becomes of weight gradients in ordinary training: they are accumulated, or ignored.
#pragma once

#include <span>

#include "model/block.h"

namespace hearth {

/// Adds each contraction to the gradient of its parameter.
class AccumulatingSink final : public GradientSink {
 public:
  /// gradients: one tensor for each parameter of the block, f32 (f64 with the plain truth), under the dims of
  /// this rank's piece.
  AccumulatingSink(Ops& ops, std::span<const Tensor> gradients) : ops_(ops), gradients_(gradients) {}
  void linear(int p, In a, In dy, In example, double scale) override;
  void lookup(int p, In tokens, std::int64_t first, In dy, In example) override;
  void gain(int p, In x_hat, In dy, In example) override;
  void join() override {}

 private:
  Out of(int p) const { return gradients_[static_cast<std::size_t>(p)]; }

  Ops& ops_;
  std::span<const Tensor> gradients_;
};

/// For passes without backward, and for frozen blocks.
class IgnoringSink final : public GradientSink {
 public:
  void linear(int, In, In, In, double) override {}
  void lookup(int, In, std::int64_t, In, In) override {}
  void gain(int, In, In, In) override {}
  void join() override {}
};

}  // namespace hearth
