#include "data/tokenizer/added_tokens.h"

#include <algorithm>

#include "base/utf8.h"
#include "data/tokenizer/unicode.h"

namespace hearth::tokenization {
namespace {

bool touches_word(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin > 0) {
    std::size_t at = last_character(text.substr(0, begin));
    if (is_word(next_utf8(text, at))) return true;
  }
  return end < text.size() && is_word(next_utf8(text, end));
}

}  // namespace

const AddedToken* TokenFinder::add(std::string_view text, const AddedToken& token) {
  std::size_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    auto& children = nodes_[node].children;
    const auto place = std::lower_bound(children.begin(), children.end(), std::pair(byte, std::uint32_t{0}));
    if (place != children.end() && place->first == byte) {
      node = place->second;
      continue;
    }
    const auto child = static_cast<std::uint32_t>(nodes_.size());
    children.insert(place, {byte, child});
    nodes_.emplace_back();
    node = child;
  }
  if (nodes_[node].token >= 0) return &tokens_[static_cast<std::size_t>(nodes_[node].token)];
  nodes_[node].token = static_cast<std::int32_t>(tokens_.size());
  tokens_.push_back(token);
  begins_[static_cast<std::uint8_t>(text[0])] = true;
  return nullptr;
}

std::int32_t TokenFinder::longest_at(std::string_view text, std::size_t at, std::size_t& length) const {
  std::int32_t best = -1;
  std::size_t node = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const auto& children = nodes_[node].children;
    const auto child = std::lower_bound(children.begin(), children.end(), std::pair(byte, std::uint32_t{0}));
    if (child == children.end() || child->first != byte) break;
    node = child->second;
    if (nodes_[node].token < 0) continue;
    best = nodes_[node].token;
    length = i + 1 - at;
  }
  return best;
}

// The search goes on behind a token's own text, even where rstrip took more; a token of which nothing is left when its
// lstrip ends at such a place is passed over. Both as in Hugging Face tokenizers.
bool TokenFinder::next(std::string_view text, std::size_t from, std::size_t& searched, Found& found) const {
  if (tokens_.empty()) return false;
  while (searched < text.size()) {
    if (!begins_[static_cast<std::uint8_t>(text[searched])]) {
      ++searched;
      continue;
    }
    std::size_t length = 0;
    const std::int32_t index = longest_at(text, searched, length);
    if (index < 0) {
      ++searched;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(index)];
    found = {searched, searched + length, token.id};
    searched += length;
    if (token.single_word && touches_word(text, found.begin, found.end)) continue;
    if (token.lstrip) found.begin = std::max(spaces_at_end(text.substr(0, found.begin)), from);
    if (token.rstrip) found.end += spaces_at_start(text.substr(found.end));
    if (found.begin < found.end) return true;
  }
  return false;
}

}  // namespace hearth::tokenization
