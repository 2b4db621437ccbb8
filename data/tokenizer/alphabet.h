// The alphabet of byte-level tokenizers (GPT-2): each byte is written as one printable character.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::tokenization {

/// The character that stands for a byte: itself for printable ASCII and Latin-1, else U+0100 onward in byte order.
std::uint32_t character_of_byte(std::uint8_t byte);
/// The byte that a character stands for, or -1.
int byte_of_character(std::uint32_t character);
/// Each byte of `bytes` as its character, in UTF-8, appended.
void append_as_characters(std::string_view bytes, std::string& text);
/// The bytes that valid UTF-8 text stands for; nothing when one of its characters stands for none.
std::optional<std::string> bytes_of_characters(std::string_view text);

}  // namespace hearth::tokenization
