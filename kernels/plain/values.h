// Tensors as plain rows of doubles: how the truth reads its arguments and stores its results.
#pragma once

#include <vector>

#include "base/tensor.h"

namespace hearth::plain {

/// A copy of a tensor's elements in f64, row-major and unpitched.
struct Values {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<double> elements;

  Values() = default;
  Values(std::int64_t rows_, std::int64_t columns_)
      : rows(rows_), columns(columns_), elements(static_cast<std::size_t>(rows_ * columns_)) {}
  double& operator()(std::int64_t row, std::int64_t column) {
    return elements[static_cast<std::size_t>(row * columns + column)];
  }
  double operator()(std::int64_t row, std::int64_t column) const {
    return elements[static_cast<std::size_t>(row * columns + column)];
  }
};

/// The elements of f64, f32, bf16 or i32 tensors.
Values read(In x);
/// y = values, rounded once to y's dtype.
void write(const Values& values, Out y);
/// The elements of an i32 vector.
std::vector<std::int64_t> read_integers(In x);

}  // namespace hearth::plain
