// UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth {

/// The offset of the first byte that is not part of valid UTF-8 (overlong forms, surrogates and values above U+10FFFF are
/// invalid), or nothing.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);
/// Appends one code point. REQUIRES: a scalar value.
void append_utf8(std::string& text, std::uint32_t code_point);
/// Bytes of the character whose first byte this is: 1 to 4, 0 when it cannot begin a character.
std::size_t utf8_length(unsigned char first);
/// Decodes the character at `offset` of valid UTF-8 and moves `offset` past it.
std::uint32_t next_utf8(std::string_view text, std::size_t& offset);

}  // namespace hearth
