#include "trainer/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace hearth {

namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '&':
      out += "&amp;";
      return;
    case '<':
      out += "&lt;";
      return;
    case '>':
      out += "&gt;";
      return;
    case '"':
      out += "&quot;";
      return;
    case '\'':
      out += "&#39;";
      return;
    default:
      break;
  }
  const auto code = static_cast<unsigned char>(c);
  const bool shown = code >= 0x20 || c == '\n' || c == '\t';
  if (shown && code != 0x7F) {
    out += c;
  } else {
    out += replacement;
  }
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t valid = first_invalid_utf8(text).value_or(text.size());
    for (const char c : text.substr(0, valid)) append_escaped(out, c);
    if (valid == text.size()) break;
    out += replacement;
    text.remove_prefix(valid + 1);
  }
  return out;
}

std::string grouped(std::int64_t count) {
  std::string text = std::to_string(count);
  const std::size_t sign = count < 0 ? 1 : 0;
  for (std::size_t i = text.size(); i > sign + 3;) {
    i -= 3;
    text.insert(i, ",");
  }
  return text;
}

std::string value_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "∞" : "−∞";
  const double size = std::abs(value);
  if (size != 0 && (size < 1e-3 || size >= 1e5)) return fmt::format("{:.3g}", value);
  return fmt::format("{:.4f}", value);
}

std::string percent_text(double share) {
  if (!std::isfinite(share)) return value_text(share);
  double percent = std::round(1000 * share) / 10;
  if (share < 1) percent = std::min(percent, 99.9);
  return fmt::format("{:.1f} %", percent);
}

std::string speed_text(double tokens_per_second) {
  return grouped(static_cast<std::int64_t>(std::clamp(tokens_per_second, 0.0, 1e15) + 0.5));
}

std::string duration_text(double seconds) {
  if (!(seconds >= 0 && seconds < 1e12)) return "unknown";
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::round(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", grouped(whole / 3600), whole / 60 % 60);
}

}  // namespace hearth
