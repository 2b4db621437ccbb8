// Token ids to rows of the embedding table: the first block.
#pragma once

#include "model/block.h"

namespace hearth {

class Embedding final : public Block {
 public:
  Embedding(std::int64_t vocabulary, std::int64_t width, Law law, AxisSizes axes = {});
  const std::string& name() const override { return name_; }
  std::vector<Parameter> parameters() const override;
  Dims out(const BatchShape& shape) const override;
  std::vector<std::size_t> kept_sizes(const BatchShape&, Dtype) const override { return {}; }
  ScratchBytes scratch_bytes(const BatchShape& shape, Dtype compute) const override;
  std::unique_ptr<Activations> activations(const BatchShape&, Dtype, KeptMemory&) const override;
  /// x: (T) i32 tokens   y: (T / t, D)
  void forward(In x, Out y, Activations& kept, Pass& pass) const override;
  /// dx is ignored: tokens have no gradient.
  void backward(In x, const Activations& kept, In dy, Out dx, Pass& pass) const override;

 private:
  std::int64_t first_token(const Communicator& tensor) const;

  std::string name_ = "embedding";
  std::int64_t vocabulary_;
  std::int64_t width_;
  Law law_;
  AxisSizes axes_;
};

/// For blocks that need nothing but x and the weights.
class NoActivations final : public Activations {
 public:
  void shed() override {}
  bool is_shed() const override { return false; }
};

}  // namespace hearth
