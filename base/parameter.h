// What a block declares about a weight. Where it lies is the business of parallel/flat_group.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"
#include "base/tensor.h"

namespace hearth {

/// Along which dim a parameter is cut between the ranks of the tensor axis.
enum class Cut { none, rows, columns };

/// What the ranks that hold the same piece have after a backward: equal gradients, or addends of one gradient.
enum class Copies { same, add };

/// How fresh weights are drawn. `spread` is the standard deviation of `normal`; xavier derives its own from the dims.
struct Law {
  enum class Kind { zeros, ones, normal, xavier };
  Kind kind = Kind::zeros;
  float spread = 0;
};

struct Parameter {
  std::string name;  // dotted, everywhere the same: layers.7.attention.query
  Dims full;         // uncut
  Cut cut = Cut::none;
  int pieces = 1;
  Copies copies = Copies::same;
  Law law;
  bool trainable = true;
  bool decayed = false;  // weight decay: matrices yes, norms and biases no
};

/// The initial value of element `index` (row-major in `full`): a function of the seed, the name and the index alone, so
/// that every mesh starts from the same weights.
float initial_value(const Parameter& parameter, const Key& seed, std::int64_t index);

}  // namespace hearth
