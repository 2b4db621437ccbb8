#include "base/random.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace hearth {

namespace {

/// splitmix64's finaliser: every bit of the input moves every bit of the output.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

std::uint32_t high_product(std::uint32_t a, std::uint32_t b, std::uint32_t& low) {
  const std::uint64_t product = static_cast<std::uint64_t>(a) * b;
  low = static_cast<std::uint32_t>(product);
  return static_cast<std::uint32_t>(product >> 32);
}

}  // namespace

Key::Key(std::uint64_t seed) : high_(mixed(seed)), low_(mixed(seed ^ 0x6865617274680000U)) {}

Key Key::with(std::string_view name) const {
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return {mixed(high_ ^ hash), mixed(low_ + hash)};
}

Key Key::with(std::uint64_t number) const {
  return {mixed(high_ + mixed(number)), mixed(low_ ^ mixed(~number))};
}

std::array<std::uint32_t, 4> Key::block(std::uint64_t counter) const {
  std::array<std::uint32_t, 4> x = {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                                    static_cast<std::uint32_t>(low_), static_cast<std::uint32_t>(low_ >> 32)};
  auto k0 = static_cast<std::uint32_t>(high_);
  auto k1 = static_cast<std::uint32_t>(high_ >> 32);
  for (int round = 0; round < 10; ++round) {
    std::uint32_t low0 = 0;
    std::uint32_t low1 = 0;
    const std::uint32_t high0 = high_product(0xD2511F53U, x[0], low0);
    const std::uint32_t high1 = high_product(0xCD9E8D57U, x[2], low1);
    x = {high1 ^ x[1] ^ k0, low1, high0 ^ x[3] ^ k1, low0};
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return x;
}

std::uint64_t Key::word(std::uint64_t index) const {
  const auto x = block(index >> 1);
  const std::size_t half = (index & 1U) * 2;
  return (static_cast<std::uint64_t>(x[half + 1]) << 32) | x[half];
}

double Key::uniform(std::uint64_t index) const {
  return static_cast<double>(word(index) >> 11) * 0x1p-53;
}

std::uint64_t Key::below(std::uint64_t bound, std::uint64_t index) const {
  require(bound > 0, "a bound of random numbers is positive");
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(word(index)) * bound) >> 64);
}

double Key::normal(std::uint64_t index) const {
  const auto x = block(index);
  const double u = (static_cast<double>(((static_cast<std::uint64_t>(x[1]) << 32) | x[0]) >> 11) + 1.0) * 0x1p-53;
  const double v = static_cast<double>(((static_cast<std::uint64_t>(x[3]) << 32) | x[2]) >> 11) * 0x1p-53;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

Permutation::Permutation(Key key, std::uint64_t size) : key_(key), size_(size) {
  const int bits = size <= 1 ? 1 : static_cast<int>(std::bit_width(size - 1));
  half_bits_ = (bits + 1) / 2;
}

std::uint64_t Permutation::operator()(std::uint64_t index) const {
  require(index < size_, "a permuted index lies in its range");
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  do {  // walk the cycle of the network over 2^(2 half_bits) until it is back inside [0, size)
    std::uint64_t left = index >> half_bits_;
    std::uint64_t right = index & mask;
    for (std::uint64_t round = 0; round < 8; ++round) {
      const std::uint64_t next = left ^ (key_.word((right << 3) | round) & mask);
      left = right;
      right = next;
    }
    index = (left << half_bits_) | right;
  } while (index >= size_);
  return index;
}

}  // namespace hearth
