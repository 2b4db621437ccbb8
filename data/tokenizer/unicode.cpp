#include "data/tokenizer/unicode.h"

#include <unicode/uchar.h>

#include <string>

#include "base/utf8.h"
#include "data/tokenizer/regex.h"

namespace hearth::tokenization {

bool is_space(std::uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_word(std::uint32_t c) {
  const auto character = static_cast<UChar32>(c);
  const auto mask = U_GET_GC_MASK(character);
  return u_hasBinaryProperty(character, UCHAR_ALPHABETIC) ||
         (mask & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0 || c == 0x200C || c == 0x200D;
}

std::size_t last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<std::uint8_t>(text[at]) & 0xC0U) == 0x80U) --at;
  return at;
}

std::size_t spaces_at_end(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    const std::size_t begin = last_character(text.substr(0, end));
    std::size_t at = begin;
    if (!is_space(next_utf8(text, at))) break;
    end = begin;
  }
  return end;
}

std::size_t spaces_at_start(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size()) {
    std::size_t at = end;
    if (!is_space(next_utf8(text, at))) break;
    end = at;
  }
  return end;
}

// Planes 4 to 13 have no assigned characters and 15 and 16 are private: nothing there is a letter, number or space.
// Plane 14 has none either.
CharacterClasses::CharacterClasses() : table_(0x40000, other) {
  std::string all;
  for (std::uint32_t c = 0; c < table_.size(); ++c) {
    if (c < 0xD800 || c > 0xDFFF) append_utf8(all, c);
  }
  const auto mark = [&](const char* pattern, Class value) {
    const Regex regex(pattern, "character classes");
    Matcher matcher(regex);
    for (std::size_t at = 0; matcher.find(all, at); at = matcher.end()) {
      for (std::size_t i = matcher.begin(); i < matcher.end();) table_[next_utf8(all, i)] = value;
    }
  };
  mark("\\p{L}+", letter);
  mark("\\p{N}+", number);
  mark("\\s+", space);
}

}  // namespace hearth::tokenization
