#include "data/format.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace hearth {

namespace {

constexpr std::array<std::pair<Format, std::string_view>, 13> names = {
    {{Format::text, "text"},
     {Format::prompt_completion, "prompt_completion"},
     {Format::tokens, "tokens"},
     {Format::alpaca, "alpaca"},
     {Format::sharegpt, "sharegpt"},
     {Format::messages, "messages"},
     {Format::preference, "preference"},
     {Format::unpaired, "unpaired"},
     {Format::stepwise, "stepwise"},
     {Format::json, "json"},
     {Format::csv, "csv"},
     {Format::parquet, "parquet"},
     {Format::arrow, "arrow"}}};

/// Whether the name ends so, in letters of any case.
bool ends_in(std::string_view name, std::string_view ending) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return name.size() > ending.size() &&
         std::equal(ending.rbegin(), ending.rend(), name.rbegin(), [&](char a, char b) { return a == lower(b); });
}

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
  if (name == "prompt/completion") return Format::prompt_completion;
  return std::nullopt;
}

bool readable(Format format) {
  return format == Format::text || format == Format::prompt_completion || format == Format::tokens;
}

std::optional<Container> container_of(std::string_view file_name) {
  if (ends_in(file_name, ".txt") || ends_in(file_name, ".md")) return Container::document;
  if (ends_in(file_name, ".jsonl")) return Container::lines;
  if (ends_in(file_name, ".jsonl.zst")) return Container::lines_zstd;
  return std::nullopt;
}

std::optional<Format> unreadable_ending(std::string_view file_name) {
  for (const Format format : {Format::json, Format::csv, Format::parquet, Format::arrow}) {
    if (ends_in(file_name, "." + std::string(name_of(format)))) return format;
  }
  return std::nullopt;
}

}  // namespace hearth
