#include "data/format.h"

#include <array>
#include <utility>

namespace hearth {

namespace {
constexpr std::array<std::pair<Format, std::string_view>, 10> names = {{{Format::text, "text"},
                                                                        {Format::prompt_completion, "prompt_completion"},
                                                                        {Format::tokens, "tokens"},
                                                                        {Format::alpaca, "alpaca"},
                                                                        {Format::sharegpt, "sharegpt"},
                                                                        {Format::messages, "messages"},
                                                                        {Format::preference, "preference"},
                                                                        {Format::csv, "csv"},
                                                                        {Format::parquet, "parquet"},
                                                                        {Format::arrow, "arrow"}}};
}  // namespace

std::string_view name_of(Format format) {
  for (const auto& [value, name] : names) {
    if (value == format) return name;
  }
  return "unknown";
}

std::optional<Format> format_named(std::string_view name) {
  for (const auto& [value, known] : names) {
    if (known == name) return value;
  }
  return std::nullopt;
}

bool readable(Format format) {
  return format == Format::text || format == Format::prompt_completion || format == Format::tokens;
}

}  // namespace hearth
