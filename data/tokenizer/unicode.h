// What tokenizers ask about single characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth::tokenization {

/// The Unicode property White_Space.
bool is_space(std::uint32_t character);
/// Unicode's \w: alphabetic, marks, decimal digits, connector punctuation, joiners.
bool is_word(std::uint32_t character);
/// Where the last character of non-empty valid UTF-8 begins.
std::size_t last_character(std::string_view text);
/// Where the spaces at the end of `text` begin; where those at its beginning end.
std::size_t spaces_at_end(std::string_view text);
std::size_t spaces_at_start(std::string_view text);

/// The character that begins here, and its bytes. REQUIRES: valid UTF-8.
inline std::uint32_t character_at(const char* text, std::size_t& length) {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint32_t>(static_cast<std::uint8_t>(text[i])); };
  const std::uint32_t first = byte(0);
  if (first < 0x80) {
    length = 1;
    return first;
  }
  if (first < 0xE0) {
    length = 2;
    return (first & 0x1FU) << 6 | (byte(1) & 0x3FU);
  }
  if (first < 0xF0) {
    length = 3;
    return (first & 0x0FU) << 12 | (byte(1) & 0x3FU) << 6 | (byte(2) & 0x3FU);
  }
  length = 4;
  return (first & 0x07U) << 18 | (byte(1) & 0x3FU) << 12 | (byte(2) & 0x3FU) << 6 | (byte(3) & 0x3FU);
}

/// Letters, numbers, spaces by code point, exactly as PCRE2 sees \p{L}, \p{N}, \p{White_Space}, in one byte each.
class CharacterClasses {
 public:
  enum Class : std::uint8_t { other = 0, letter = 1, number = 2, space = 3 };
  CharacterClasses();
  /// The class of the character that begins at text[at]; `length` becomes its bytes. REQUIRES: valid UTF-8.
  Class at(const char* text, std::size_t& length) const {
    const auto first = static_cast<std::uint8_t>(*text);
    if (first < 0x80) {
      length = 1;
      return static_cast<Class>(table_[first]);
    }
    return beyond_ascii(text, length);
  }

 private:
  Class beyond_ascii(const char* text, std::size_t& length) const {
    const std::uint32_t c = character_at(text, length);
    return c < table_.size() ? static_cast<Class>(table_[c]) : other;
  }

  std::vector<std::uint8_t> table_;
};

}  // namespace hearth::tokenization
