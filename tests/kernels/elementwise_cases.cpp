#include "kernels/cases.h"

namespace hearth::test {

namespace {

using Tensors = std::vector<Tensor>;

struct Size {
  std::int64_t rows, columns;
  bool large = false;
};

const Size sizes[] = {{1, 1}, {3, 5}, {0, 7}, {5, 0}, {2, 33}, {7, 16}, {37, 2049, true}};

void of_size(std::vector<Case>& all, const Size& size) {
  const Dims dims{size.rows, size.columns};
  const std::string shape = dims.text();
  const auto add = [&](const std::string& op, std::vector<Arg> args, auto call) {
    all.push_back({op, shape, std::move(args), call, size.large});
  };
  add("fill", {over(dims, 0)}, [](Ops& ops, const Tensors& t) { ops.fill(-1.5, t[0]); });
  add("cast", {input(dims, noise("cast", dims), Arg::Kind::single), over(dims, 0)},
      [](Ops& ops, const Tensors& t) { ops.cast(t[0], t[1]); });
  add("cast", {input(dims, noise("cast", dims)), over(dims, 0, Arg::Kind::wide)},
      [](Ops& ops, const Tensors& t) { ops.cast(t[0], t[1]); });
  add("cast", {input(dims, noise("cast", dims), Arg::Kind::precise), over(dims, 0)},
      [](Ops& ops, const Tensors& t) { ops.cast(t[0], t[1]); });
  add("add", {input(dims, noise("add x", dims)), onto("add y", dims, 2)},
      [](Ops& ops, const Tensors& t) { ops.add(t[0], t[1]); });
  add("add", {input(dims, noise("add x", dims)), onto("add y", dims, 2, Arg::Kind::wide)},
      [](Ops& ops, const Tensors& t) { ops.add(t[0], t[1]); });
  add("add", {input(dims, noise("add x", dims), Arg::Kind::wide), onto("add y", dims, 2)},
      [](Ops& ops, const Tensors& t) { ops.add(t[0], t[1]); });
  add("sum", {input(dims, noise("sum a", dims)), input(dims, noise("sum b", dims)), over(dims, 2)},
      [](Ops& ops, const Tensors& t) { ops.sum(t[0], t[1], t[2]); });
  Arg over_a = over(dims, 2);
  over_a.over_arg = 0;
  add("sum", {input(dims, noise("sum a", dims)), input(dims, noise("sum b", dims)), over_a},
      [](Ops& ops, const Tensors& t) { ops.sum(t[0], t[1], t[2]); });
  add("scale", {onto("scale", dims, 1)}, [](Ops& ops, const Tensors& t) { ops.scale(0.37, t[0]); });
  add("add_bias", {input({size.columns}, noise("bias", {size.columns})), onto("biased", dims, 2)},
      [](Ops& ops, const Tensors& t) { ops.add_bias(t[0], t[1]); });
  add("bias_backward",
      {input(dims, noise("bias dy", dims)),
       onto("db", {size.columns}, 0.7 * static_cast<double>(size.rows), Arg::Kind::wide)},
      [](Ops& ops, const Tensors& t) { ops.bias_backward(t[0], 0.7, t[1]); });
  // The argument of exp is at most 12, so that its rounding adds as many units to the result.
  const double gate_size = 12;
  add("swiglu", {input(dims, noise("gate", dims, gate_size)), input(dims, noise("up", dims)), over(dims, gate_size)},
      [](Ops& ops, const Tensors& t) { ops.swiglu(t[0], t[1], t[2]); });
  Arg over_gate = over(dims, gate_size);
  over_gate.over_arg = 0;
  add("swiglu", {input(dims, noise("gate", dims, gate_size)), input(dims, noise("up", dims)), over_gate},
      [](Ops& ops, const Tensors& t) { ops.swiglu(t[0], t[1], t[2]); });
  Arg over_up = over_gate;
  over_up.over_arg = 1;
  for (const bool in_place : {false, true}) {
    add("swiglu_backward",
        {input(dims, noise("gate", dims, gate_size)), input(dims, noise("up", dims)), input(dims, noise("dy", dims)),
         in_place ? over_gate : over(dims, gate_size), in_place ? over_up : over(dims, gate_size)},
        [](Ops& ops, const Tensors& t) { ops.swiglu_backward(t[0], t[1], t[2], t[3], t[4]); });
  }
}

}  // namespace

std::vector<Case> elementwise_cases() {
  std::vector<Case> all;
  for (const Size& size : sizes) of_size(all, size);
  return all;
}

}  // namespace hearth::test
