// Text for a terminal of eighty columns.
#pragma once

#include <string>
#include <string_view>

namespace hearth {

/// Lines that do not begin with a space are filled up to `width` columns, across single line ends, and continued behind
/// `indent` spaces; lines that do, and empty ones, stay as they are. A word that is wider stands alone. ASCII; no line
/// end after the last line.
std::string wrapped(std::string_view text, std::size_t width = 79, std::size_t indent = 0);

}  // namespace hearth
