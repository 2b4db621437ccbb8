#include "data/tokenizer/alphabet.h"

#include <array>

#include "base/utf8.h"

namespace hearth::tokenization {
namespace {

constexpr bool stands_for_itself(std::uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr std::array<std::uint16_t, 256> make_characters() {
  std::array<std::uint16_t, 256> characters{};
  std::uint16_t next = 0x100;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    characters[byte] = stands_for_itself(byte) ? static_cast<std::uint16_t>(byte) : next++;
  }
  return characters;
}

constexpr std::array<std::uint16_t, 256> characters = make_characters();

constexpr std::array<std::int16_t, 0x144> make_bytes() {
  std::array<std::int16_t, 0x144> bytes{};
  for (auto& byte : bytes) byte = -1;
  for (std::uint32_t byte = 0; byte < 256; ++byte) bytes[characters[byte]] = static_cast<std::int16_t>(byte);
  return bytes;
}

constexpr std::array<std::int16_t, 0x144> bytes_by_character = make_bytes();

}  // namespace

std::uint32_t character_of_byte(std::uint8_t byte) {
  return characters[byte];
}

int byte_of_character(std::uint32_t character) {
  return character < bytes_by_character.size() ? bytes_by_character[character] : -1;
}

void append_as_characters(std::string_view bytes, std::string& text) {
  for (const char byte : bytes) append_utf8(text, characters[static_cast<std::uint8_t>(byte)]);
}

std::optional<std::string> bytes_of_characters(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const int byte = byte_of_character(next_utf8(text, at));
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(static_cast<std::uint8_t>(byte));
  }
  return bytes;
}

}  // namespace hearth::tokenization
