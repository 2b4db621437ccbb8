// y = x W^T + b, inside a block: the place where every product with a weight passes.
#pragma once

#include "model/block.h"

namespace hearth {

/// Which parameters of a block make one linear map; no bias: -1.
struct Linear {
  int weight = 0;
  int bias = -1;

  /// y = x W^T (+ b), or y += with Write::add.    x: (T, I)   W: (O, I)   y: (T, O)
  void forward(In x, Write write, Out y, Pass& pass) const;
  /// Weight gradients into the sink; dx = dy W, or dx += with Write::add.
  void backward(In x, In dy, Write write, Out dx, Pass& pass) const;
};

}  // namespace hearth
