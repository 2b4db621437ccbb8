// Random numbers without state: value = f(key, index). The same on every mesh, in any order, on any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace hearth {

/// Names a stream of random numbers. Built from a seed and narrowed by names and numbers:
/// `Key(seed).with("init").with("layers.7.attention.query")`.
class Key {
 public:
  explicit Key(std::uint64_t seed = 0);
  Key with(std::string_view name) const;
  Key with(std::uint64_t number) const;

  /// The index-th 64-bit word of this stream: Philox4x32-10 (Salmon et al., SC 2011).
  std::uint64_t word(std::uint64_t index) const;
  /// Uniform in [0, 1), 53 bits.
  double uniform(std::uint64_t index) const;
  /// Uniform in [0, bound), without bias beyond 2^-64 (Lemire's multiplication). REQUIRES: bound > 0.
  std::uint64_t below(std::uint64_t bound, std::uint64_t index) const;
  /// Standard normal (Box-Muller on two words of the stream).
  double normal(std::uint64_t index) const;

 private:
  Key(std::uint64_t high, std::uint64_t low) : high_(high), low_(low) {}
  std::array<std::uint32_t, 4> block(std::uint64_t counter) const;

  std::uint64_t high_;
  std::uint64_t low_;
};

/// A permutation of [0, size) that is a pure function of (key, index): a cycle-walking Feistel network, so the place of
/// one item is found without listing the others.
class Permutation {
 public:
  Permutation(Key key, std::uint64_t size);
  std::uint64_t operator()(std::uint64_t index) const;  // REQUIRES: index < size

 private:
  Key key_;
  std::uint64_t size_;
  int half_bits_;
};

}  // namespace hearth
