#include "model/final_norm.h"

#include "model/statistics.h"
#include "model/tensor_axis.h"

namespace hearth {

/// inverse_rms: (T / t)
struct FinalNorm::State final : Activations {
  State(const BatchShape& shape, Dtype compute, const AxisSizes& axes, KeptMemory& memory)
      : inverse_rms(memory, shape, statistics_of(compute), {rows_of(shape, axes)}) {}
  void shed() override { inverse_rms.shed(); }
  bool is_shed() const override { return !inverse_rms.held(); }

  Kept inverse_rms;
};

std::vector<Parameter> FinalNorm::parameters() const {
  return {{.name = "final_norm", .full = {width_}, .copies = Copies::add, .law = {Law::Kind::ones}}};
}

Dims FinalNorm::out(const BatchShape& shape) const {
  return {rows_of(shape, axes_), width_};
}

std::vector<std::size_t> FinalNorm::kept_sizes(const BatchShape& shape, Dtype compute) const {
  HostMemory nothing;
  KeptMemory none(nothing);
  return {State(shape, compute, axes_, none).inverse_rms.bytes()};
}

ScratchBytes FinalNorm::scratch_bytes(const BatchShape& shape, Dtype compute) const {
  return {0, 2 * Arena::room(compute, out(shape))};  // x_hat, d
}

std::unique_ptr<Activations> FinalNorm::activations(const BatchShape& shape, Dtype compute, KeptMemory& memory) const {
  return std::make_unique<State>(shape, compute, axes_, memory);
}

void FinalNorm::forward(In x, Out y, Activations& kept, Pass& pass) const {
  pass.ops.rms_norm(x, pass.weights[0], epsilon_, y, static_cast<State&>(kept).inverse_rms.hold());
}

void FinalNorm::backward(In x, const Activations& kept, In dy, Out dx, Pass& pass) const {
  const Tensor inverse_rms = *static_cast<const State&>(kept).inverse_rms;
  Scratch scratch(pass.scratch);
  const Tensor x_hat = scratch.take(x.dtype, x.dims);  // (T / t, D)
  const Tensor d = scratch.take(x.dtype, x.dims);      // (T / t, D)
  pass.ops.rms_normalize(x, inverse_rms, x_hat);
  pass.gradients.gain(0, x_hat, dy, own_rows(pass.batch.example, pass.tensor));
  pass.ops.fill(0, d);
  pass.ops.rms_norm_backward(x, pass.weights[0], inverse_rms, dy, d);
  pass.ops.cast(d, dx);
}

}  // namespace hearth
