#include "parallel/ordered_sum.h"

#include <algorithm>
#include <array>

namespace hearth {

namespace {

constexpr std::int64_t tile = 1024;  // elements whose sums are held at once: stays in the first cache

template <class T, class Sum>
void sum_tiles(std::span<const void* const> addends, Onto onto, std::int64_t count, T* out) {
  std::array<Sum, tile> sums;
  for (std::int64_t first = 0; first < count; first += tile) {
    const auto n = static_cast<std::size_t>(std::min(tile, count - first));
    const bool held = onto == Onto::held;
    const T* start = (held ? out : static_cast<const T*>(addends[0])) + first;
    for (std::size_t i = 0; i < n; ++i) sums[i] = static_cast<Sum>(start[i]);
    for (const void* addend : addends.subspan(held ? 0 : 1)) {
      const T* values = static_cast<const T*>(addend) + first;
      for (std::size_t i = 0; i < n; ++i) sums[i] += static_cast<Sum>(values[i]);
    }
    for (std::size_t i = 0; i < n; ++i) out[first + static_cast<std::int64_t>(i)] = static_cast<T>(sums[i]);
  }
}

}  // namespace

bool is_summable(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f64 || dtype == Dtype::i64 || dtype == Dtype::bf16;
}

void sum_in_rank_order(Dtype dtype, std::span<const void* const> addends, Onto onto, std::int64_t count, void* out) {
  switch (dtype) {
    case Dtype::f32:
      return sum_tiles<float, float>(addends, onto, count, static_cast<float*>(out));
    case Dtype::f64:
      return sum_tiles<double, double>(addends, onto, count, static_cast<double*>(out));
    case Dtype::i64:
      return sum_tiles<std::int64_t, std::int64_t>(addends, onto, count, static_cast<std::int64_t*>(out));
    case Dtype::bf16:
      return sum_tiles<Bf16, float>(addends, onto, count, static_cast<Bf16*>(out));
    case Dtype::f16:
    case Dtype::i32:
    case Dtype::u32:
    case Dtype::u8:
      break;
  }
  fail(Kind::internal, "internal error: {} is not summed over ranks; f32, f64, i64 and bf16 are (please report this)",
       name_of(dtype));
}

}  // namespace hearth
