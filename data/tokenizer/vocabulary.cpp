#include "data/tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>

#include "data/tokenizer/hash.h"

namespace hearth::tokenization {

std::size_t Vocabulary::slot(std::string_view wanted, std::uint64_t hash) const {
  const std::size_t mask = table_.size() - 1;
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  std::size_t at = hash & mask;
  while (table_[at].id >= 0 && (table_[at].tag != tag || token(table_[at].id) != wanted)) at = (at + 1) & mask;
  return at;
}

void Vocabulary::grow(std::size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(table_);
  for (const Slot& entry : old) {
    if (entry.id < 0) continue;
    const std::string_view text = token(entry.id);
    table_[slot(text, hash_bytes(text))] = entry;
  }
}

void Vocabulary::reserve(std::size_t tokens) {
  const std::size_t slots = std::bit_ceil(2 * tokens + 2);
  if (slots > table_.size()) grow(slots);
}

Vocabulary::Added Vocabulary::add(std::string_view wanted, std::int32_t id) {
  if (2 * (count_ + 1) > table_.size()) grow(std::max<std::size_t>(1024, 2 * table_.size()));
  const std::uint64_t hash = hash_bytes(wanted);
  const std::size_t at = slot(wanted, hash);
  if (table_[at].id >= 0) return Added::same_token;
  if (has(id)) return Added::same_id;
  const auto index = static_cast<std::size_t>(id);
  if (index >= entries_.size()) entries_.resize(index + 1);
  entries_[index] = {text_.size(), static_cast<std::uint32_t>(wanted.size()), true};
  text_ += wanted;
  table_[at] = {static_cast<std::uint32_t>(hash >> 32), id};
  ++count_;
  return Added::yes;
}

std::optional<std::int32_t> Vocabulary::find(std::string_view wanted) const {
  if (table_.empty()) return std::nullopt;
  const std::int32_t id = table_[slot(wanted, hash_bytes(wanted))].id;
  return id < 0 ? std::nullopt : std::optional(id);
}

}  // namespace hearth::tokenization
