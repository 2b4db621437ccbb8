// y = x + down(silu(gate(n)) * up(n)),  n = rms_norm(x): the gated feed-forward half of a layer.
// Each tensor rank has some of the F hidden columns; the last ranks' may be padded with zeros.
#pragma once

#include "model/block.h"
#include "model/linear.h"

namespace hearth {

struct MlpSizes {
  std::int64_t width = 0;   // D
  std::int64_t hidden = 0;  // F
  double epsilon = 0;
  Law law;
};

class Mlp final : public Block {
 public:
  Mlp(std::string name, const MlpSizes& sizes, AxisSizes axes = {});
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
  enum Place : int { norm, gate, up, down };

  std::string name_;
  MlpSizes sizes_;
  AxisSizes axes_;
};

}  // namespace hearth
