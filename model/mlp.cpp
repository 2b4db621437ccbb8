#include "model/mlp.h"

#include <utility>

#include "model/statistics.h"
#include "model/tensor_axis.h"

namespace hearth {

/// inverse_rms: (T / t)   gate, up: (T, f), before the activation, f = ceil(F / t) the hidden columns of one rank
struct Mlp::State final : Activations {
  State(const BatchShape& shape, Dtype compute, std::int64_t hidden, const AxisSizes& axes, KeptMemory& memory)
      : inverse_rms(memory, shape, statistics_of(compute), {rows_of(shape, axes)}),
        gate(memory, shape, compute, {shape.tokens, (hidden + axes.tensor - 1) / axes.tensor}),
        up(memory, shape, compute, {shape.tokens, (hidden + axes.tensor - 1) / axes.tensor}) {}
  void shed() override {
    inverse_rms.shed();
    gate.shed();
    up.shed();
  }
  bool is_shed() const override { return !gate.held(); }

  Kept inverse_rms, gate, up;
};

Mlp::Mlp(std::string name, const MlpSizes& sizes, AxisSizes axes)
    : name_(std::move(name)), sizes_(sizes), axes_(axes) {}

std::vector<Parameter> Mlp::parameters() const {
  const std::int64_t D = sizes_.width;
  const std::int64_t F = sizes_.hidden;
  const auto matrix = [&](const char* part, Dims full, Cut cut) {
    return Parameter{
        .name = name_ + part, .full = full, .cut = cut, .pieces = axes_.tensor, .law = sizes_.law, .decayed = true};
  };
  return {{.name = name_ + ".norm", .full = {D}, .copies = Copies::add, .law = {Law::Kind::ones}},
          matrix(".gate", {F, D}, Cut::rows),
          matrix(".up", {F, D}, Cut::rows),
          matrix(".down", {D, F}, Cut::columns)};
}

Dims Mlp::out(const BatchShape& shape) const {
  return {rows_of(shape, axes_), sizes_.width};
}

std::vector<std::size_t> Mlp::kept_sizes(const BatchShape& shape, Dtype compute) const {
  HostMemory nothing;
  KeptMemory none(nothing);
  const State state(shape, compute, sizes_.hidden, axes_, none);
  return {state.inverse_rms.bytes(), state.gate.bytes(), state.up.bytes()};
}

ScratchBytes Mlp::scratch_bytes(const BatchShape& shape, Dtype compute) const {
  const std::int64_t hidden = (sizes_.hidden + axes_.tensor - 1) / axes_.tensor;
  const std::size_t f = Arena::room(compute, {shape.tokens, hidden});
  const std::size_t mine = Arena::room(compute, out(shape));
  const std::size_t all = room_of_all_rows(shape, axes_, compute, sizes_.width);
  const std::size_t inverse_rms = Arena::room(statistics_of(compute), {rows_of(shape, axes_)});
  // n, its rows, h, what is summed;  h, dh, dup, dy's rows, n, dn, inverse_rms again, n's rows, what is summed
  return {mine + f + 2 * all, 3 * f + 2 * mine + inverse_rms + 3 * all};
}

std::unique_ptr<Activations> Mlp::activations(const BatchShape& shape, Dtype compute, KeptMemory& memory) const {
  return std::make_unique<State>(shape, compute, sizes_.hidden, axes_, memory);
}

void Mlp::forward(In x, Out y, Activations& kept, Pass& pass) const {
  auto& state = static_cast<State&>(kept);
  Scratch scratch(pass.scratch);
  const Tensor gate_rows = state.gate.hold();      // (T, f)
  const Tensor up_rows = state.up.hold();          // (T, f)
  const Tensor n = scratch.take(x.dtype, x.dims);  // (T / t, D)
  pass.ops.rms_norm(x, pass.weights[norm], sizes_.epsilon, n, state.inverse_rms.hold());
  const Tensor n_rows = gather_rows(n, scratch, pass.tensor);  // (T, D)
  Linear{gate}.forward(n_rows, Write::over, gate_rows, pass);
  Linear{up}.forward(n_rows, Write::over, up_rows, pass);
  const Tensor h = scratch.take(x.dtype, gate_rows.dims);  // (T, f)
  pass.ops.swiglu(gate_rows, up_rows, h);
  pass.ops.cast(x, y);
  sum_rows(Write::add, y, pass, [&](Write write, Out rows) { Linear{down}.forward(h, write, rows, pass); });
}

void Mlp::backward(In x, const Activations& kept, In dy, Out dx, Pass& pass) const {
  const auto& state = static_cast<const State&>(kept);
  Scratch scratch(pass.scratch);
  const Tensor gate_rows = *state.gate;                     // (T, f)
  const Tensor up_rows = *state.up;                         // (T, f)
  const Tensor h = scratch.take(x.dtype, gate_rows.dims);   // (T, f)
  const Tensor dh = scratch.take(x.dtype, gate_rows.dims);  // (T, f)
  pass.ops.swiglu(gate_rows, up_rows, h);
  Linear{down}.backward(h, gather_rows(dy, scratch, pass.tensor), Write::over, dh, pass);

  const Tensor dgate = h;                                    // h is spent
  const Tensor dup = scratch.take(x.dtype, gate_rows.dims);  // (T, f)
  pass.ops.swiglu_backward(gate_rows, up_rows, dh, dgate, dup);

  const Tensor inverse_rms = *state.inverse_rms;    // (T / t)
  const Tensor n = scratch.take(x.dtype, x.dims);   // (T / t, D)
  const Tensor dn = scratch.take(x.dtype, x.dims);  // (T / t, D)
  const Tensor again = scratch.take(inverse_rms.dtype, inverse_rms.dims);
  pass.ops.rms_norm(x, pass.weights[norm], sizes_.epsilon, n, again);
  const Tensor n_rows = gather_rows(n, scratch, pass.tensor);  // (T, D)
  sum_rows(Write::over, dn, pass, [&](Write write, Out rows) {
    Linear{gate}.backward(n_rows, dgate, write, rows, pass);
    Linear{up}.backward(n_rows, dup, Write::add, rows, pass);
  });

  const Tensor x_hat = n;  // n is spent
  pass.ops.rms_normalize(x, inverse_rms, x_hat);
  pass.gradients.gain(norm, x_hat, dn, own_rows(pass.batch.example, pass.tensor));
  if (dx.data != dy.data) pass.ops.cast(dy, dx);
  pass.ops.rms_norm_backward(x, pass.weights[norm], inverse_rms, dn, dx);  // (T / t, D), onto the residual's dy
}

}  // namespace hearth
