#include "kernels/guarded.h"

#include <cstring>

namespace hearth::test {

namespace {

constexpr std::size_t zone = 256;  // bytes before and after, a multiple of the largest alignment that ops may assume
constexpr std::byte sentinel{0xC3};

template <class T>
void store(void* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

template <class T>
double load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::is_same_v<T, Bf16> || std::is_same_v<T, F16>)
    return static_cast<float>(value);
  else
    return static_cast<double>(value);
}

void store_as(Dtype dtype, void* to, double value) {
  switch (dtype) {
    case Dtype::f64:
      return store(to, value);
    case Dtype::f32:
      return store(to, static_cast<float>(value));
    case Dtype::bf16:
      return store(to, Bf16(static_cast<float>(value)));
    case Dtype::f16:
      return store(to, F16(static_cast<float>(value)));
    case Dtype::i32:
      return store(to, static_cast<std::int32_t>(value));
    default:
      fail(Kind::internal, "no test stores {}", name_of(dtype));
  }
}

double load_as(Dtype dtype, const void* from) {
  switch (dtype) {
    case Dtype::f64:
      return load<double>(from);
    case Dtype::f32:
      return load<float>(from);
    case Dtype::bf16:
      return load<Bf16>(from);
    case Dtype::f16:
      return load<F16>(from);
    case Dtype::i32:
      return load<std::int32_t>(from);
    default:
      fail(Kind::internal, "no test reads {}", name_of(dtype));
  }
}

std::byte* address(In tensor, std::int64_t row, std::int64_t column) {
  return static_cast<std::byte*>(tensor.data) +
         static_cast<std::size_t>(row * tensor.pitch + column) * size_of(tensor.dtype);
}

}  // namespace

Guarded::Guarded(Dtype dtype, Dims dims, std::int64_t gap) : tensor_(nullptr, dtype, dims) {
  tensor_.pitch += gap;
  const auto inside = static_cast<std::size_t>(tensor_.rows() * tensor_.pitch) * size_of(dtype);
  memory_.assign(inside + 2 * zone, sentinel);
  tensor_.data = memory_.data() + zone;
}

void Guarded::set(const std::vector<double>& values) {
  require(static_cast<std::int64_t>(values.size()) == tensor_.elements(),
          "a guarded tensor gets as many values as it has");
  const std::int64_t columns = tensor_.row_elements();
  for (std::int64_t i = 0; i < tensor_.elements(); ++i) {
    store_as(tensor_.dtype, address(tensor_, i / columns, i % columns), values[static_cast<std::size_t>(i)]);
  }
}

std::vector<double> Guarded::values() const {
  std::vector<double> result;
  const std::int64_t columns = tensor_.row_elements();
  for (std::int64_t i = 0; i < tensor_.elements(); ++i) {
    result.push_back(load_as(tensor_.dtype, address(tensor_, i / columns, i % columns)));
  }
  return result;
}

std::vector<std::byte> Guarded::bytes() const {
  std::vector<std::byte> result;
  const auto row_bytes = static_cast<std::size_t>(tensor_.row_elements()) * size_of(tensor_.dtype);
  for (std::int64_t row = 0; row < tensor_.rows(); ++row) {
    const std::byte* from = address(tensor_, row, 0);
    result.insert(result.end(), from, from + row_bytes);
  }
  return result;
}

bool Guarded::untouched() const {
  const auto row_bytes = static_cast<std::size_t>(tensor_.row_elements()) * size_of(tensor_.dtype);
  const auto pitch_bytes = static_cast<std::size_t>(tensor_.pitch) * size_of(tensor_.dtype);
  for (std::size_t i = 0; i < memory_.size(); ++i) {
    const bool inside =
        i >= zone && i < memory_.size() - zone && (i - zone) % std::max<std::size_t>(1, pitch_bytes) < row_bytes;
    if (!inside && memory_[i] != sentinel) return false;
  }
  return true;
}

double rounded(double value, Dtype dtype) {
  double memory = 0;
  store_as(dtype, &memory, value);
  return load_as(dtype, &memory);
}

double roundoff(Dtype dtype) {
  switch (dtype) {
    case Dtype::f64:
      return 0x1p-53;
    case Dtype::f32:
      return 0x1p-24;
    case Dtype::bf16:
      return 0x1p-8;
    case Dtype::f16:
      return 0x1p-11;
    default:
      return 0;
  }
}

}  // namespace hearth::test
