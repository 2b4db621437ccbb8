#include "model/sinks.h"

namespace hearth {

void AccumulatingSink::linear(int p, In a, In dy, In /*example*/, double scale) {
  if (a) {
    ops_.matmul(dy, Turn::yes, a, Turn::no, scale, Write::add, of(p));  // (O, I)
  } else {
    ops_.bias_backward(dy, scale, of(p));  // (O)
  }
}

void AccumulatingSink::lookup(int p, In tokens, std::int64_t first, In dy, In /*example*/) {
  ops_.embedding_backward(tokens, dy, first, of(p));
}

void AccumulatingSink::gain(int p, In x_hat, In dy, In /*example*/) {
  const std::int64_t width = of(p).elements();
  const Dims rows = {x_hat.elements() / width, width};
  ops_.gain_backward(x_hat.as(rows), dy.as(rows), of(p));
}

}  // namespace hearth
