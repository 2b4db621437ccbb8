// Which rows a step trains on: a function of the seed and the step alone, so that any number of ranks, now or after a
// resume, sees the same rows in the same order.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"

namespace hearth {

enum class Order { shuffled, as_in_file };

/// One cursor runs through the epochs laid end to end: position p is row p % rows of epoch p / rows, and step k takes
/// the positions k B to (k + 1) B - 1. Each epoch has its own permutation. A run that ends after a number of positions
/// has a last step that may be shorter; nothing else is ever cut.
class Sampler {
 public:
  /// REQUIRES: rows > 0, rows_per_step > 0. `positions`: where the run ends; nothing: never.
  Sampler(Key key, std::int64_t rows, std::int64_t rows_per_step, Order order,
          std::optional<std::int64_t> positions = std::nullopt);

  /// Positions in so many epochs (a fraction counts to the nearest row, at least one).
  static std::int64_t positions_in(double epochs, std::int64_t rows);
  /// Steps until the end. REQUIRES: there is one.
  std::int64_t steps() const;
  /// The rows of a step in order; empty behind the end.
  std::vector<std::int64_t> rows_of(std::int64_t step) const;
  /// The row at a position.
  std::int64_t row_at(std::int64_t position) const;

 private:
  Key key_;
  std::int64_t rows_;
  std::int64_t rows_per_step_;
  Order order_;
  std::optional<std::int64_t> positions_;
};

}  // namespace hearth
