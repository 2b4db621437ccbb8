// What the ranks of the conformance suite hold, and what should become of it.
#pragma once

#include <cstring>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/random.h"
#include "base/tensor.h"

namespace hearth::test {

using Counts = std::vector<std::int64_t>;

template <class T>
Tensor view(const std::vector<T>& values) {
  return Tensor(const_cast<T*>(values.data()), DtypeOf<T>::value, {static_cast<std::int64_t>(values.size())});
}

template <class T>
T number(double value) {
  return static_cast<T>(static_cast<float>(value));
}

/// What rank `rank` holds: numbers of very different sizes, so that another order of sums gives other bits.
template <class T>
std::vector<T> values_of(int rank, std::size_t count, std::string_view name) {
  std::uint64_t state = Key(7).with(name).word(static_cast<std::uint64_t>(rank));
  std::vector<T> values(count);
  for (T& value : values) {
    state = state * 6364136223846793005U + 1442695040888963407U;  // Knuth's generator: quick, and good enough here
    const double mantissa = static_cast<double>(state >> 40) / 16777216.0 - 0.5;
    value = number<T>(static_cast<double>(1 << (state >> 32 & 0xfU)) * mantissa);
  }
  return values;
}

/// The sum over ranks in rank order, by the letter: one addition after the other, bf16 in f32 and rounded once.
template <class T>
std::vector<T> rank_order_sum(int ranks, std::size_t count, std::string_view name,
                              const std::vector<T>* held = nullptr) {
  using Sum = std::conditional_t<std::is_same_v<T, Bf16>, float, T>;
  std::vector<T> result(count);
  std::vector<std::vector<T>> all;
  all.reserve(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) all.push_back(values_of<T>(rank, count, name));
  for (std::size_t i = 0; i < count; ++i) {
    Sum sum = held != nullptr ? static_cast<Sum>((*held)[i]) : static_cast<Sum>(all[0][i]);
    for (std::size_t rank = held != nullptr ? 0 : 1; rank < all.size(); ++rank) sum += static_cast<Sum>(all[rank][i]);
    result[i] = static_cast<T>(sum);
  }
  return result;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace hearth::test
