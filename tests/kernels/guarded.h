// Tensors between guard zones: an op that writes where it should not fails its own test.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/tensor.h"

namespace hearth::test {

/// Owns a tensor with sentinel bytes before it, after it and between its rows.
class Guarded {
 public:
  /// `gap` elements lie between rows; one more row's worth of sentinels would be read as large negative numbers.
  Guarded(Dtype dtype, Dims dims, std::int64_t gap = 0);

  const Tensor& tensor() const { return tensor_; }
  void set(const std::vector<double>& values);  // rounded to the dtype
  std::vector<double> values() const;
  /// The bytes of the elements, row after row.
  std::vector<std::byte> bytes() const;
  /// True while every sentinel is what it was.
  bool untouched() const;

 private:
  std::vector<std::byte> memory_;
  Tensor tensor_;
};

/// A value as the dtype stores it.
double rounded(double value, Dtype dtype);
/// Largest relative error of rounding to the dtype.
double roundoff(Dtype dtype);

}  // namespace hearth::test
