#include "model/mlp.h"

#include <utility>

#include "model/statistics.h"

namespace hearth {

/// inverse_rms: (T)   gate, up: (T, F), before the activation
struct Mlp::State final : Activations {
  State(const BatchShape& shape, Dtype compute, std::int64_t hidden, KeptMemory& memory)
      : inverse_rms(memory, shape, statistics_of(compute), {shape.tokens}),
        gate(memory, shape, compute, {shape.tokens, hidden}),
        up(memory, shape, compute, {shape.tokens, hidden}) {}
  void shed() override {
    inverse_rms.shed();
    gate.shed();
    up.shed();
  }
  bool is_shed() const override { return !gate.held(); }

  Kept inverse_rms, gate, up;
};

Mlp::Mlp(std::string name, const MlpSizes& sizes) : name_(std::move(name)), sizes_(sizes) {}

std::vector<Parameter> Mlp::parameters() const {
  const auto [D, F, epsilon, law] = sizes_;
  return {{.name = name_ + ".norm", .full = {D}, .copies = Copies::add, .law = {Law::Kind::ones}},
          {.name = name_ + ".gate", .full = {F, D}, .cut = Cut::rows, .law = law, .decayed = true},
          {.name = name_ + ".up", .full = {F, D}, .cut = Cut::rows, .law = law, .decayed = true},
          {.name = name_ + ".down", .full = {D, F}, .cut = Cut::columns, .law = law, .decayed = true}};
}

std::size_t Mlp::kept_bytes(const BatchShape& shape, Dtype compute) const {
  HostMemory nothing;
  KeptMemory none(nothing);
  const State state(shape, compute, sizes_.hidden, none);
  return state.inverse_rms.bytes() + state.gate.bytes() + state.up.bytes();
}

std::unique_ptr<Activations> Mlp::activations(const BatchShape& shape, Dtype compute, KeptMemory& memory) const {
  return std::make_unique<State>(shape, compute, sizes_.hidden, memory);
}

void Mlp::forward(In x, Out y, Activations& kept, Pass& pass) const {
  auto& state = static_cast<State&>(kept);
  Scratch scratch(pass.scratch);
  const Tensor gate_rows = state.gate.hold();      // (T, F)
  const Tensor up_rows = state.up.hold();          // (T, F)
  const Tensor n = scratch.take(x.dtype, x.dims);  // (T, D)
  pass.ops.rms_norm(x, pass.weights[norm], sizes_.epsilon, n, state.inverse_rms.hold());
  Linear{gate}.forward(n, Write::over, gate_rows, pass);
  Linear{up}.forward(n, Write::over, up_rows, pass);
  const Tensor h = scratch.take(x.dtype, gate_rows.dims);  // (T, F)
  pass.ops.swiglu(gate_rows, up_rows, h);
  pass.ops.cast(x, y);
  Linear{down}.forward(h, Write::add, y, pass);  // (T, D)
}

void Mlp::backward(In x, const Activations& kept, In dy, Out dx, Pass& pass) const {
  const auto& state = static_cast<const State&>(kept);
  Scratch scratch(pass.scratch);
  const Tensor gate_rows = *state.gate;                     // (T, F)
  const Tensor up_rows = *state.up;                         // (T, F)
  const Tensor h = scratch.take(x.dtype, gate_rows.dims);   // (T, F)
  const Tensor dh = scratch.take(x.dtype, gate_rows.dims);  // (T, F)
  pass.ops.swiglu(gate_rows, up_rows, h);
  Linear{down}.backward(h, dy, Write::over, dh, pass);

  const Tensor dgate = h;                                    // h is spent
  const Tensor dup = scratch.take(x.dtype, gate_rows.dims);  // (T, F)
  pass.ops.swiglu_backward(gate_rows, up_rows, dh, dgate, dup);

  const Tensor inverse_rms = *state.inverse_rms;    // (T)
  const Tensor n = scratch.take(x.dtype, x.dims);   // (T, D)
  const Tensor dn = scratch.take(x.dtype, x.dims);  // (T, D)
  const Tensor again = scratch.take(inverse_rms.dtype, inverse_rms.dims);
  pass.ops.rms_norm(x, pass.weights[norm], sizes_.epsilon, n, again);
  Linear{gate}.backward(n, dgate, Write::over, dn, pass);
  Linear{up}.backward(n, dup, Write::add, dn, pass);

  const Tensor x_hat = n;  // n is spent
  pass.ops.rms_normalize(x, inverse_rms, x_hat);
  pass.gradients.gain(norm, x_hat, dn, pass.batch.example);
  if (dx.data != dy.data) pass.ops.cast(dy, dx);
  pass.ops.rms_norm_backward(x, pass.weights[norm], inverse_rms, dn, dx);  // (T, D), onto the residual's dy
}

}  // namespace hearth
