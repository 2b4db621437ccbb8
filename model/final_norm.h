// y = rms_norm(x): a block of its own, so that embedding and head have the same layout and tied ends are one interval.
#pragma once

#include "model/block.h"

namespace hearth {

class FinalNorm final : public Block {
 public:
  FinalNorm(std::int64_t width, double epsilon, AxisSizes axes = {}) : width_(width), epsilon_(epsilon), axes_(axes) {}
  const std::string& name() const override { return name_; }
  std::vector<Parameter> parameters() const override;
  Dims out(const BatchShape& shape) const override;
  std::vector<std::size_t> kept_sizes(const BatchShape& shape, Dtype compute) const override;
  ScratchBytes scratch_bytes(const BatchShape& shape, Dtype compute) const override;
  std::unique_ptr<Activations> activations(const BatchShape&, Dtype, KeptMemory&) const override;
  void forward(In x, Out y, Activations& kept, Pass& pass) const override;
  void backward(In x, const Activations& kept, In dy, Out dx, Pass& pass) const override;

 private:
  struct State;

  std::string name_ = "final_norm";
  std::int64_t width_;
  double epsilon_;
  AxisSizes axes_;
};

}  // namespace hearth
