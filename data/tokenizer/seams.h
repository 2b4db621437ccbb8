// Where a text can be cut without changing its byte-pair encoding.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth::tokenization {

/// A seam is a border between two characters that no merge rule can ever join. The symbols that face each other across
/// a border always spell out the characters there; so if no rule's left side ends with the first character while its
/// right side begins with the second, nothing merges across, and both sides can be encoded apart. Borders of which this
/// is not certain (rules that join parts of characters, chance hits of a hash) count as joinable: then a piece is only
/// longer.
class Seams {
 public:
  /// Every rule's two sides, as the bytes that they spell.
  void add_rule(std::string_view left, std::string_view right);
  /// Call once after the last rule.
  void finish();
  /// The end of the shortest piece of text[at, ...) that ends at a seam or at the end. REQUIRES: valid UTF-8, at <
  /// size.
  std::size_t next(std::string_view text, std::size_t at) const;

 private:
  enum : std::uint8_t { never = 0, ask = 1, joinable = 2 };
  static std::uint64_t bits_of(std::uint64_t hash) { return 1ULL << (hash & 63U) | 1ULL << (hash >> 6 & 63U); }
  bool may_join(std::uint32_t before, std::uint32_t behind) const;

  std::array<std::uint8_t, 65536> by_bytes_{};  // (last byte of the left side, first byte of the right side)
  std::vector<std::uint64_t> pairs_;            // hashes of pairs of characters, until finish()
  std::vector<std::uint64_t> filter_;           // after it: two bits a pair in one word
  std::size_t mask_ = 0;
};

}  // namespace hearth::tokenization
