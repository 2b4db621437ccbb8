#include "model/linear.h"

namespace hearth {

void Linear::forward(In x, Write write, Out y, Pass& pass) const {
  pass.ops.matmul(x, Turn::no, pass.weights[static_cast<std::size_t>(weight)], Turn::yes, 1, write, y);  // (T, O)
  if (bias >= 0) pass.ops.add_bias(pass.weights[static_cast<std::size_t>(bias)], y);
}

void Linear::backward(In x, In dy, Write write, Out dx, Pass& pass) const {
  if (bias >= 0) pass.gradients.linear(bias, Tensor(), dy, pass.batch.example, 1);
  pass.gradients.linear(weight, x, dy, pass.batch.example, 1);
  pass.ops.matmul(dy, Turn::no, pass.weights[static_cast<std::size_t>(weight)], Turn::no, 1, write, dx);  // (T, I)
}

}  // namespace hearth
