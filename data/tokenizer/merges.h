// The merge rules of a byte-pair encoding, and how they are applied to a row of symbols.
#pragma once

#include <cstdint>
#include <vector>

namespace hearth::tokenization {

/// What becomes of two neighbours: the token that replaces them, and how early (smaller rank first).
struct Merge {
  static constexpr std::uint32_t none = 0xFFFFFFFFU;
  std::uint32_t rank = none;
  std::int32_t into = -1;
};

/// (left, right) -> Merge, by hashing.
class MergeTable {
 public:
  explicit MergeTable(std::size_t expected);
  /// The later rule for the same pair replaces the earlier, as in Hugging Face tokenizers.
  void set(std::int32_t left, std::int32_t right, Merge merge);
  Merge find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t at = start(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].merge;
      if (slots_[at].key == free_key) return {};
    }
  }

 private:
  static constexpr std::uint64_t free_key = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = free_key;
    Merge merge;
  };
  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t start(std::uint64_t key) const { return (key * 0x9E3779B97F4A7C15ULL >> 20) & mask_; }

  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
};

/// Memory that apply_merges reuses from call to call.
class MergeScratch {
 public:
  /// Merges neighbours of `symbols` until no rule applies: always the pair of smallest rank, the leftmost of equals.
  /// Quadratic work only up to a small fixed length; beyond it n log n.
  void apply(const MergeTable& merges, std::vector<std::int32_t>& symbols);

 private:
  void apply_short(const MergeTable& merges, std::vector<std::int32_t>& symbols);
  void apply_long(const MergeTable& merges, std::vector<std::int32_t>& symbols);
  void offer(const MergeTable& merges, const std::vector<std::int32_t>& symbols, std::uint32_t left);

  struct Node {
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
    Merge merge;  // with the next node
  };
  std::vector<Merge> pairs_;
  std::vector<Node> nodes_;
  std::vector<std::uint64_t> queue_;  // a heap of rank << 32 | position
};

}  // namespace hearth::tokenization
