#include "data/tokenizer/vocabulary.h"

#include "data/tokenizer/hash.h"

namespace hearth::tokenization {

std::size_t Vocabulary::slot(std::string_view wanted) const {
  const std::size_t mask = table_.size() - 1;
  std::size_t at = hash_bytes(wanted) & mask;
  while (table_[at] >= 0 && token(table_[at]) != wanted) at = (at + 1) & mask;
  return at;
}

void Vocabulary::grow() {
  std::vector<std::int32_t> old(table_.empty() ? 1024 : table_.size() * 2, -1);
  old.swap(table_);
  for (const std::int32_t id : old) {
    if (id >= 0) table_[slot(token(id))] = id;
  }
}

Vocabulary::Added Vocabulary::add(std::string_view wanted, std::int32_t id) {
  if (2 * (count_ + 1) > table_.size()) grow();
  const std::size_t at = slot(wanted);
  if (table_[at] >= 0) return Added::same_token;
  if (has(id)) return Added::same_id;
  const auto index = static_cast<std::size_t>(id);
  if (index >= entries_.size()) entries_.resize(index + 1);
  entries_[index] = {text_.size(), static_cast<std::uint32_t>(wanted.size()), true};
  text_ += wanted;
  table_[at] = id;
  ++count_;
  return Added::yes;
}

std::optional<std::int32_t> Vocabulary::find(std::string_view wanted) const {
  if (table_.empty()) return std::nullopt;
  const std::int32_t id = table_[slot(wanted)];
  return id < 0 ? std::nullopt : std::optional(id);
}

}  // namespace hearth::tokenization
