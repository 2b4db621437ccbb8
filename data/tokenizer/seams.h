// Where a text can be cut without changing its byte-pair encoding.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth::tokenization {

/// A seam is a border between two characters that no merge rule can ever join. The symbols that face each other across
/// a border always spell out the characters there; so if no rule's left side ends with the first character while its
/// right side begins with the second, nothing merges across, and both sides can be encoded apart. Exact for pairs of
/// whole characters; where a rule joins parts of characters the border counts as joinable.
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
  bool pair_known(std::uint64_t pair) const;

  std::array<std::uint8_t, 65536> by_bytes_{};  // (last byte of the left side, first byte of the right side)
  std::vector<std::uint64_t> pairs_;            // while rules are added: a list; then an open hash table
  std::size_t mask_ = 0;
};

}  // namespace hearth::tokenization
