// Numbers in sentences.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

/// "1 row", "2 rows", "0 microbatches". `what`: one of them, of a plural in -s (behind ch in -es).
inline std::string counted(std::int64_t number, std::string_view what) {
  const char* const plural = what.ends_with("ch") ? "es" : "s";
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : plural);
}

}  // namespace hearth
