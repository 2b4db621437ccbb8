#include "data/tokenizer/seams.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "base/utf8.h"
#include "data/tokenizer/hash.h"
#include "data/tokenizer/unicode.h"

namespace hearth::tokenization {
namespace {

constexpr std::uint64_t free_pair = ~std::uint64_t{0};

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}
bool continues(std::uint8_t byte) {
  return (byte & 0xC0U) == 0x80U;
}
std::size_t index_of(std::uint8_t left, std::uint8_t right) {
  return static_cast<std::size_t>(left) << 8 | right;
}
std::uint64_t pair_of(std::uint32_t left, std::uint32_t right) {
  return static_cast<std::uint64_t>(left) << 32 | right;
}

/// The character that `text` begins (or ends) with, where it is there whole.
std::optional<std::uint32_t> whole(std::string_view text) {
  if (text.empty() || first_invalid_utf8(text)) return std::nullopt;
  std::size_t at = 0;
  return next_utf8(text, at);
}

}  // namespace

void Seams::add_rule(std::string_view left, std::string_view right) {
  if (left.empty() || right.empty() || continues(byte_at(right, 0))) return;  // inside a character: no border is there
  const std::uint8_t last = byte_at(left, left.size() - 1);
  const std::uint8_t first = byte_at(right, 0);
  const std::optional<std::uint32_t> before = whole(left.substr(last_character(left)));
  const std::optional<std::uint32_t> behind = whole(right.substr(0, utf8_length(first)));
  std::uint8_t& kind = by_bytes_[index_of(last, first)];
  if (!before || !behind || (last < 0x80 && first < 0x80)) {
    kind = joinable;
  } else {
    kind = std::max<std::uint8_t>(kind, ask);
    pairs_.push_back(pair_of(*before, *behind));
  }
}

void Seams::finish() {
  std::vector<std::uint64_t> list;
  list.swap(pairs_);
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  pairs_.assign(std::bit_ceil(4 * list.size() + 2), free_pair);
  mask_ = pairs_.size() - 1;
  for (const std::uint64_t pair : list) {
    std::size_t at = mix(pair, 0) & mask_;
    while (pairs_[at] != free_pair) at = (at + 1) & mask_;
    pairs_[at] = pair;
  }
}

bool Seams::pair_known(std::uint64_t pair) const {
  for (std::size_t at = mix(pair, 0) & mask_;; at = (at + 1) & mask_) {
    if (pairs_[at] == pair) return true;
    if (pairs_[at] == free_pair) return false;
  }
}

std::size_t Seams::next(std::string_view text, std::size_t at) const {
  std::size_t begin = at;  // of the character before the border
  at += utf8_length(byte_at(text, at));
  while (at < text.size()) {
    const std::uint8_t kind = by_bytes_[index_of(byte_at(text, at - 1), byte_at(text, at))];
    if (kind == never) return at;
    std::size_t after = at;
    if (kind == ask) {
      const std::uint32_t behind = next_utf8(text, after);
      if (!pair_known(pair_of(next_utf8(text, begin), behind))) return at;
    } else {
      after += utf8_length(byte_at(text, at));
    }
    begin = at;
    at = after;
  }
  return at;
}

}  // namespace hearth::tokenization
