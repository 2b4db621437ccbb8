// Words and numbers of the report.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

/// `text` as HTML that shows exactly it, in elements and in quoted attributes: markup characters escaped, control
/// characters and bytes that are not UTF-8 replaced.
std::string escaped(std::string_view text);
/// "1,234,567"
std::string grouped(std::int64_t count);
/// "3.2135"; large and small magnitudes as "1.2e+06"; "NaN", "∞", "−∞"
std::string value_text(double value);
/// "12.5 %"; a share that is not quite all is never shown as 100.
std::string percent_text(double share);
/// Tokens a second: "12,345"
std::string speed_text(double tokens_per_second);
/// "0.8 s", "4 min 5 s", "2 h 3 min"
std::string duration_text(double seconds);

}  // namespace hearth
