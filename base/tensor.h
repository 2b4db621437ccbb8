// A view of memory: who owns the bytes is somebody else's business (Buffer, Arena).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "base/dtype.h"
#include "base/error.h"

namespace hearth {

enum class Device { host, cuda };

/// Up to four dims, outermost first.
struct Dims {
  std::array<std::int64_t, 4> size{};
  int count = 0;

  Dims() = default;
  Dims(std::initializer_list<std::int64_t> dims);
  std::int64_t operator[](int i) const { return size[static_cast<std::size_t>(i)]; }
  std::int64_t elements() const;      // 1 for no dims
  std::int64_t row_elements() const;  // product of all dims but the first
  bool operator==(const Dims&) const = default;
  std::string text() const;  // "(2, 3)"
};

/// `dims[0]` rows of contiguous elements, `pitch` elements apart. Sliced by rows or columns, reshaped when unpitched,
/// nothing else. Copying a Tensor copies the view; constness of the view says nothing about the elements.
struct Tensor {
  void* data = nullptr;
  Dtype dtype = Dtype::f32;
  Device device = Device::host;
  Dims dims;
  std::int64_t pitch = 0;  // elements from one row to the next; dims.row_elements() when unpitched

  Tensor() = default;
  /// An unpitched view of `data`.
  Tensor(void* data, Dtype dtype, Dims dims, Device device = Device::host);

  std::int64_t rows() const { return dims.count == 0 ? 1 : dims[0]; }
  std::int64_t row_elements() const { return dims.count == 0 ? 1 : dims.row_elements(); }
  std::int64_t elements() const { return dims.elements(); }
  std::size_t bytes() const { return static_cast<std::size_t>(elements()) * size_of(dtype); }  // of the elements seen
  bool unpitched() const { return rows() <= 1 || pitch == row_elements(); }
  explicit operator bool() const { return data != nullptr; }

  /// The rows [first, first + count).
  Tensor row_slice(std::int64_t first, std::int64_t count) const;
  /// The columns [first, first + count) of a tensor of two dims (count of rows, columns).
  Tensor column_slice(std::int64_t first, std::int64_t count) const;
  /// The same elements under other dims. REQUIRES: unpitched, or the number of rows stays.
  Tensor as(Dims other) const;

  /// The first element of row `row`. REQUIRES: T is the element type.
  template <class T>
  T* row(std::int64_t row_index) const {
    return typed<T>() + row_index * pitch;
  }
  /// All elements. REQUIRES: T is the element type, unpitched.
  template <class T>
  std::span<T> span() const {
    require(unpitched(), "a span was asked of a pitched tensor");
    return {typed<T>(), static_cast<std::size_t>(elements())};
  }
  template <class T>
  T* typed() const {
    require(DtypeOf<T>::value == dtype, "a tensor was read as another dtype");
    return static_cast<T*>(data);
  }
};

/// Op arguments: a view that is read, a view whose elements are written.
using In = const Tensor&;
using Out = const Tensor&;

}  // namespace hearth
