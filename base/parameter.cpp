#include "base/parameter.h"

#include <algorithm>
#include <cmath>

namespace hearth {

namespace {

std::int64_t extent_of(const Parameter& parameter) {
  return parameter.cut == Cut::columns ? parameter.full.row_elements() : parameter.full[0];
}

/// Rows or columns of one piece.
std::int64_t length_of(const Parameter& parameter) {
  const std::int64_t extent = extent_of(parameter);
  return parameter.cut == Cut::none ? extent : (extent + parameter.pieces - 1) / parameter.pieces;
}

}  // namespace

int piece_of(const Parameter& parameter, int rank, int size) {
  return rank * parameter.pieces / size;
}

bool is_first_holder(const Parameter& parameter, int rank, int size) {
  return rank == 0 || piece_of(parameter, rank, size) != piece_of(parameter, rank - 1, size);
}

Dims piece_dims(const Parameter& parameter) {
  Dims dims = parameter.full;
  if (parameter.cut != Cut::none) dims.size[parameter.cut == Cut::columns ? 1 : 0] = length_of(parameter);
  return dims;
}

Interval piece_extent(const Parameter& parameter, int piece) {
  const std::int64_t extent = extent_of(parameter);
  const std::int64_t length = length_of(parameter);
  return {std::min(extent, piece * length), std::min(extent, (piece + 1) * length)};
}

std::vector<HeldStretch> stretches_of(const Parameter& parameter, int piece, Interval part) {
  const Interval extent = piece_extent(parameter, piece);
  std::vector<HeldStretch> held;
  if (parameter.cut != Cut::columns) {  // rows lie together in `full` as they do in the piece
    const std::int64_t row = parameter.full.row_elements();
    const Interval there = intersect(part, {0, extent.count() * row});
    if (there.count() > 0) held.push_back({there.begin, 0, {extent.begin * row + there.begin, 1, there.count(), 0}});
    return held;
  }
  const std::int64_t pitch = length_of(parameter);
  const std::int64_t stride = parameter.full.row_elements();
  // Columns [from, to) of `rows` rows from `row` on.
  const auto add = [&](std::int64_t row, std::int64_t rows, std::int64_t from, std::int64_t to) {
    to = std::min(to, extent.count());
    if (rows <= 0 || from >= to) return;
    const std::int64_t begin = row * stride + extent.begin + from;
    held.push_back({row * pitch + from, rows == 1 ? 0 : pitch, {begin, rows, to - from, rows == 1 ? 0 : stride}});
  };
  const std::int64_t first = part.begin / pitch;
  const std::int64_t last = part.end / pitch;  // the row in which `part` ends
  if (first == last) {
    add(first, 1, part.begin % pitch, part.end % pitch);
    return held;
  }
  const bool starts_within = part.begin % pitch != 0;
  if (starts_within) add(first, 1, part.begin % pitch, pitch);
  add(first + (starts_within ? 1 : 0), last - first - (starts_within ? 1 : 0), 0, pitch);
  add(last, 1, 0, part.end % pitch);
  return held;
}

float initial_value(const Parameter& parameter, const Key& seed, std::int64_t index) {
  switch (parameter.law.kind) {
    case Law::Kind::zeros:
      return 0;
    case Law::Kind::ones:
      return 1;
    case Law::Kind::normal:
    case Law::Kind::xavier:
      break;
  }
  double spread = parameter.law.spread;
  if (parameter.law.kind == Law::Kind::xavier) {  // Glorot and Bengio 2010
    const auto& full = parameter.full;
    spread = std::sqrt(2.0 / static_cast<double>(full[0] + (full.count > 1 ? full[1] : 0)));
  }
  const Key key = seed.with("init").with(parameter.name);
  return static_cast<float>(spread * key.normal(static_cast<std::uint64_t>(index)));
}

}  // namespace hearth
