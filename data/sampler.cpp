#include "data/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace hearth {

Sampler::Sampler(Key key, std::int64_t rows, std::int64_t rows_per_step, Order order,
                 std::optional<std::int64_t> positions)
    : key_(key.with("order of rows")),
      rows_(rows),
      rows_per_step_(rows_per_step),
      order_(order),
      positions_(positions) {
  require(rows > 0 && rows_per_step > 0, "a sampler has rows, and steps take some");
}

std::int64_t Sampler::positions_in(double epochs, std::int64_t rows) {
  return std::max<std::int64_t>(1, std::llround(epochs * static_cast<double>(rows)));
}

std::int64_t Sampler::steps() const {
  require(positions_.has_value(), "the number of steps is asked of a run that ends");
  return (*positions_ + rows_per_step_ - 1) / rows_per_step_;
}

std::int64_t Sampler::row_at(std::int64_t position) const {
  require(position >= 0, "a position is not negative");
  const std::int64_t index = position % rows_;
  if (order_ == Order::as_in_file) return index;
  const Permutation epoch(key_.with(static_cast<std::uint64_t>(position / rows_)), static_cast<std::uint64_t>(rows_));
  return static_cast<std::int64_t>(epoch(static_cast<std::uint64_t>(index)));
}

std::vector<std::int64_t> Sampler::rows_of(std::int64_t step) const {
  const std::int64_t first = step * rows_per_step_;
  const std::int64_t last = std::min(first + rows_per_step_, positions_.value_or(first + rows_per_step_));
  std::vector<std::int64_t> rows;
  for (std::int64_t position = first; position < last; ++position) rows.push_back(row_at(position));
  return rows;
}

}  // namespace hearth
