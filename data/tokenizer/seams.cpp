#include "data/tokenizer/seams.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "base/utf8.h"
#include "data/tokenizer/hash.h"
#include "data/tokenizer/unicode.h"

namespace hearth::tokenization {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}
bool continues(std::uint8_t byte) {
  return (byte & 0xC0U) == 0x80U;
}
std::size_t index_of(std::uint8_t left, std::uint8_t right) {
  return static_cast<std::size_t>(left) << 8 | right;
}
std::uint64_t hash_of(std::uint32_t left, std::uint32_t right) {
  return mix(left, right);
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
    pairs_.push_back(hash_of(*before, *behind));
  }
}

void Seams::finish() {
  filter_.assign(std::bit_ceil(pairs_.size() / 4 + 1), 0);  // at least sixteen bits a pair, and many pairs are equal
  mask_ = filter_.size() - 1;
  for (const std::uint64_t hash : pairs_) filter_[hash >> 12 & mask_] |= bits_of(hash);
  pairs_ = {};
}

bool Seams::may_join(std::uint32_t before, std::uint32_t behind) const {
  const std::uint64_t hash = hash_of(before, behind);
  const std::uint64_t bits = bits_of(hash);
  return (filter_[hash >> 12 & mask_] & bits) == bits;
}

std::size_t Seams::next(std::string_view text, std::size_t at) const {
  std::size_t length = 0;
  std::uint32_t before = character_at(text.data() + at, length);
  at += length;
  while (at < text.size()) {
    const std::uint8_t kind = by_bytes_[index_of(byte_at(text, at - 1), byte_at(text, at))];
    if (kind == never) return at;
    const std::uint32_t behind = character_at(text.data() + at, length);
    if (kind == ask && !may_join(before, behind)) return at;
    before = behind;
    at += length;
  }
  return at;
}

}  // namespace hearth::tokenization
