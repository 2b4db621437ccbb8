// What a row of a dataset may look like, as far as its keys say it, and what a file of rows may be.
#pragma once

#include <optional>
#include <string_view>

namespace hearth {

/// The formats that are recognised. Those from `alpaca` on are refused by name until they can be read.
enum class Format {
  text,
  prompt_completion,
  tokens,
  alpaca,
  sharegpt,
  messages,
  preference,
  unpaired,
  stepwise,
  json,
  csv,
  parquet,
  arrow
};

/// The spelling that recipes use.
std::string_view name_of(Format format);
std::optional<Format> format_named(std::string_view name);
/// Whether this version can read it.
bool readable(Format format);

/// How a file holds its rows.
enum class Container { document, lines, lines_zstd };

/// The container that a file's name ends in (.txt, .md; .jsonl; .jsonl.zst), or nothing.
std::optional<Container> container_of(std::string_view file_name);
/// The format that a file's name ends in and that cannot be read yet (.json, .csv, .parquet, .arrow), or nothing.
std::optional<Format> unreadable_ending(std::string_view file_name);

}  // namespace hearth
