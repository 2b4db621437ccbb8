// Safetensors files made by hand.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/file.h"

namespace hearth::test {

/// The length as the file has it, then the header, then the data.
inline std::string safetensors(std::string_view header, std::string_view data = "") {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  bytes.append(header);
  bytes.append(data);
  return bytes;
}

/// The bytes of a file that begins with this length, whatever follows.
inline std::string with_length(std::uint64_t length, std::string_view rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  bytes.append(rest);
  return bytes;
}

}  // namespace hearth::test
