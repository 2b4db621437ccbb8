#include "parallel/ordered_sum.h"

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace hearth {

namespace {

constexpr std::int64_t tile = 1024;           // elements whose sums are held at once: stays in the first cache
constexpr std::size_t most_in_registers = 9;  // addends that are added in one pass: those of 8 ranks, and what is held

/// The addends of one sum, element by element.
template <class T, class Sum, std::size_t... others>
class Addends {
 public:
  explicit Addends(std::span<const void* const> addends, std::index_sequence<others...> /*their indices, less one*/)
      : in_{static_cast<const T*>(addends[0]), static_cast<const T*>(addends[others + 1])...} {}
  T sum(std::int64_t i) const {
    Sum sum = static_cast<Sum>(in_[0][i]);
    ((sum += static_cast<Sum>(in_[others + 1][i])), ...);
    return static_cast<T>(sum);
  }

 private:
  std::array<const T*, sizeof...(others) + 1> in_;
};

/// out may be one of the addends: no element depends on another, whatever the compiler would have to assume.
template <class T, class Sum, std::size_t... others>
[[gnu::always_inline]] inline void add_cached(const Addends<T, Sum, others...>& addends, Interval where, T* out) {
#pragma GCC ivdep
  for (std::int64_t i = where.begin; i < where.end; ++i) out[i] = addends.sum(i);
}

template <class T, class Sum, std::size_t... others>
[[gnu::always_inline]] inline void add_streamed(const Addends<T, Sum, others...>& addends, Interval where, T* out) {
  constexpr auto line = static_cast<std::int64_t>(64 / sizeof(T));  // elements of a cache line
  const auto place = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(out + where.begin) / sizeof(T));
  std::int64_t i = std::min(where.end, where.begin + (line - place % line) % line);
  add_cached(addends, {where.begin, i}, out);
  for (; i + line <= where.end; i += line) {
    alignas(64) std::array<T, line> sums;
    for (std::int64_t k = 0; k < line; ++k) sums[static_cast<std::size_t>(k)] = addends.sum(i + k);
    const auto* from = reinterpret_cast<const __m128i*>(sums.data());
    auto* to = reinterpret_cast<__m128i*>(out + i);
    for (int part = 0; part < 4; ++part) _mm_stream_si128(to + part, _mm_load_si128(from + part));
  }
  add_cached(addends, {i, where.end}, out);
  _mm_sfence();
}

template <class T, class Sum, std::size_t... others>
[[gnu::always_inline]] inline void add(const Addends<T, Sum, others...>& addends, std::int64_t count, T* out,
                                       Stores stores) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(out) % sizeof(T) == 0;
  if (stores == Stores::streamed && aligned) return add_streamed(addends, {0, count}, out);
  add_cached(addends, {0, count}, out);
}

// The same bits with wider vectors: additions and conversions are exact or correctly rounded in both.
template <class T, class Sum, std::size_t... others>
[[gnu::target("avx2")]] void add_by_avx2(const Addends<T, Sum, others...>& addends, std::int64_t count, T* out,
                                         Stores stores) {
  add(addends, count, out, stores);
}

/// Finds the code for this number of addends.
template <class T, class Sum, std::size_t number = 1>
void sum_few(std::span<const void* const> addends, std::int64_t count, T* out, Stores stores) {
  if constexpr (number < most_in_registers) {
    if (addends.size() != number) return sum_few<T, Sum, number + 1>(addends, count, out, stores);
  }
  const auto make = [&]<std::size_t... others>(std::index_sequence<others...> indices) {
    return Addends<T, Sum, others...>(addends, indices);
  };
  const auto these = make(std::make_index_sequence<number - 1>());
  if (__builtin_cpu_supports("avx2")) return add_by_avx2(these, count, out, stores);
  add(these, count, out, stores);
}

template <class T, class Sum>
void sum_many(const void* first_addend, std::span<const void* const> others, std::int64_t count, T* out) {
  std::array<Sum, tile> sums;
  for (std::int64_t first = 0; first < count; first += tile) {
    const auto n = static_cast<std::size_t>(std::min(tile, count - first));
    const T* start = static_cast<const T*>(first_addend) + first;
    for (std::size_t i = 0; i < n; ++i) sums[i] = static_cast<Sum>(start[i]);
    for (const void* addend : others) {
      const T* values = static_cast<const T*>(addend) + first;
      for (std::size_t i = 0; i < n; ++i) sums[i] += static_cast<Sum>(values[i]);
    }
    for (std::size_t i = 0; i < n; ++i) out[first + static_cast<std::int64_t>(i)] = static_cast<T>(sums[i]);
  }
}

template <class T, class Sum>
void sum_as(std::span<const void* const> addends, Onto onto, std::int64_t count, T* out, Stores stores) {
  const bool held = onto == Onto::held;
  const std::size_t number = addends.size() + (held ? 1 : 0);
  const std::span<const void* const> others = addends.subspan(held ? 0 : 1);
  const void* first = held ? out : addends[0];
  if (number > most_in_registers) return sum_many<T, Sum>(first, others, count, out);
  std::array<const void*, most_in_registers> all{first};
  std::copy(others.begin(), others.end(), all.begin() + 1);
  sum_few<T, Sum>({all.data(), number}, count, out, stores);
}

}  // namespace

bool is_summable(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f64 || dtype == Dtype::i64 || dtype == Dtype::bf16;
}

void sum_in_rank_order(Dtype dtype, std::span<const void* const> addends, Onto onto, std::int64_t count, void* out,
                       Stores stores) {
  switch (dtype) {
    case Dtype::f32:
      return sum_as<float, float>(addends, onto, count, static_cast<float*>(out), stores);
    case Dtype::f64:
      return sum_as<double, double>(addends, onto, count, static_cast<double*>(out), stores);
    case Dtype::i64:
      return sum_as<std::int64_t, std::int64_t>(addends, onto, count, static_cast<std::int64_t*>(out), stores);
    case Dtype::bf16:
      return sum_as<Bf16, float>(addends, onto, count, static_cast<Bf16*>(out), stores);
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
