#include "trainer/finite.h"

#include <cmath>

namespace hearth {

namespace {

template <class T>
bool finite_rows(In tensor) {
  for (std::int64_t row = 0; row < tensor.rows(); ++row) {
    const T* values = tensor.row<T>(row);
    for (std::int64_t i = 0; i < tensor.row_elements(); ++i) {
      if (!std::isfinite(static_cast<float>(values[i]))) return false;
    }
  }
  return true;
}

}  // namespace

bool all_finite(In tensor) {
  require(tensor.device == Device::host, "numbers are looked at on the host");
  if (tensor.dtype == Dtype::f32) return finite_rows<float>(tensor);
  if (tensor.dtype == Dtype::f64) return finite_rows<double>(tensor);
  return finite_rows<Bf16>(tensor);
}

}  // namespace hearth
