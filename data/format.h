// What a row of a dataset may look like, as far as its keys say it.
#pragma once

#include <optional>
#include <string_view>

namespace hearth {

/// The formats that are recognised. Those from `alpaca` on are refused by name until they can be read.
enum class Format { text, prompt_completion, tokens, alpaca, sharegpt, messages, preference, csv, parquet, arrow };

/// The spelling that recipes use.
std::string_view name_of(Format format);
std::optional<Format> format_named(std::string_view name);
/// Whether this version can read it.
bool readable(Format format);

}  // namespace hearth
