#include "base/tensor.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace hearth {

Dims::Dims(std::initializer_list<std::int64_t> dims) : count(static_cast<int>(dims.size())) {
  require(dims.size() <= size.size(), "a tensor has at most four dims");
  std::copy(dims.begin(), dims.end(), size.begin());
}

std::int64_t Dims::elements() const {
  std::int64_t product = 1;
  for (int i = 0; i < count; ++i) product *= (*this)[i];
  return product;
}

std::int64_t Dims::row_elements() const {
  std::int64_t product = 1;
  for (int i = 1; i < count; ++i) product *= (*this)[i];
  return product;
}

std::string Dims::text() const {
  return fmt::format("({})", fmt::join(size.begin(), size.begin() + count, ", "));
}

Tensor::Tensor(void* data_, Dtype dtype_, Dims dims_, Device device_)
    : data(data_), dtype(dtype_), device(device_), dims(dims_), pitch(dims_.count == 0 ? 1 : dims_.row_elements()) {}

Tensor Tensor::row_slice(std::int64_t first, std::int64_t count) const {
  require(dims.count > 0 && first >= 0 && count >= 0 && first + count <= rows(), "a row slice lies inside its tensor");
  Tensor slice = *this;
  slice.data = static_cast<std::byte*>(data) + static_cast<std::size_t>(first * pitch) * size_of(dtype);
  slice.dims.size[0] = count;
  return slice;
}

Tensor Tensor::column_slice(std::int64_t first, std::int64_t count) const {
  require(dims.count == 2 && first >= 0 && count >= 0 && first + count <= dims[1],
          "a column slice lies inside a tensor of two dims");
  Tensor slice = *this;
  slice.data = static_cast<std::byte*>(data) + static_cast<std::size_t>(first) * size_of(dtype);
  slice.dims.size[1] = count;
  return slice;
}

Tensor Tensor::as(Dims other) const {
  require(other.elements() == elements(), "a reshape keeps the number of elements");
  Tensor view = *this;
  view.dims = other;
  if (unpitched()) {
    view.pitch = other.count == 0 ? 1 : other.row_elements();
  } else {
    require(other.count > 0 && other[0] == rows(), "a pitched tensor keeps its rows when reshaped");
  }
  return view;
}

}  // namespace hearth
