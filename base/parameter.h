// What a block declares about a weight. Where it lies is the business of parallel/flat_group.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/interval.h"
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
  int pieces = 1;  // at most the size of the tensor axis; rank r of n holds piece r * pieces / n
  Copies copies = Copies::same;
  Law law;
  bool trainable = true;
  bool decayed = false;  // weight decay: matrices yes, norms and biases no
};

/// The piece that rank `rank` of a tensor axis of `size` ranks holds, and whether it is the first that holds it.
int piece_of(const Parameter& parameter, int rank, int size);
bool is_first_holder(const Parameter& parameter, int rank, int size);

/// Dims of a piece as it lies in memory, the same for every piece: along the cut it has ceil(extent / pieces) rows or
/// columns. Those beyond what the last pieces hold of `full` are zeros that belong to nobody.
Dims piece_dims(const Parameter& parameter);
/// The rows (columns, by the cut) of `full` that a piece holds; none where the extent is used up. All rows when uncut.
Interval piece_extent(const Parameter& parameter, int piece);

/// Elements begin + i * stride + j of a parameter, row-major in `full`, for i < rows and j < columns, in that order: a
/// contiguous stretch (one row), or a rectangle of a matrix that is cut by columns.
struct Stretch {
  std::int64_t begin = 0;
  std::int64_t rows = 1;
  std::int64_t columns = 0;
  std::int64_t stride = 0;  // 0 when rows is 1
  std::int64_t elements() const { return rows * columns; }
  bool operator==(const Stretch&) const = default;
};

/// What elements [part.begin, part.end) of a piece, row-major in piece_dims, are of `full`: at most three stretches, in
/// order, each with its place. Padding is left out.
struct HeldStretch {
  std::int64_t at = 0;     // its first element's index in the piece
  std::int64_t pitch = 0;  // from one of its rows to the next in the piece
  Stretch full;
};
std::vector<HeldStretch> stretches_of(const Parameter& parameter, int piece, Interval part);

/// The initial value of element `index` (row-major in `full`): a function of the seed, the name and the index alone, so
/// that every mesh starts from the same weights.
float initial_value(const Parameter& parameter, const Key& seed, std::int64_t index);

}  // namespace hearth
