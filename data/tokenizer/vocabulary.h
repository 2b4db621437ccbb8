// Tokens and their ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::tokenization {

/// Tokens as the file writes them, each with one id. Ids may leave gaps.
class Vocabulary {
 public:
  /// More than any published vocabulary has; a bound on what a hostile file can make hearth allocate.
  static constexpr std::int64_t most_ids = std::int64_t{1} << 22;

  /// Makes room for so many tokens.
  void reserve(std::size_t tokens);

  enum class Added { yes, same_token, same_id };
  /// Adds a token unless the token or the id is there already. REQUIRES: 0 <= id < most_ids.
  Added add(std::string_view token, std::int32_t id);
  std::optional<std::int32_t> find(std::string_view token) const;
  bool has(std::int32_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < entries_.size() && entries_[static_cast<std::size_t>(id)].present;
  }
  /// REQUIRES: has(id). The view lives until the next add().
  std::string_view token(std::int32_t id) const {
    const Entry& entry = entries_[static_cast<std::size_t>(id)];
    return std::string_view(text_).substr(entry.begin, entry.length);
  }
  /// The largest id plus one.
  std::int32_t size() const { return static_cast<std::int32_t>(entries_.size()); }

 private:
  struct Entry {
    std::size_t begin = 0;
    std::uint32_t length = 0;
    bool present = false;
  };
  struct Slot {
    std::uint32_t tag = 0;  // of the token's hash: most other tokens are told apart by it
    std::int32_t id = -1;   // -1 = free
  };
  std::size_t slot(std::string_view token, std::uint64_t hash) const;
  void grow(std::size_t slots);

  std::string text_;
  std::vector<Entry> entries_;  // by id
  std::vector<Slot> table_;     // open addressing
  std::size_t count_ = 0;
};

}  // namespace hearth::tokenization
