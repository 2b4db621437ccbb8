// One row of a dataset: what its keys say, and how a line of JSON becomes one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/format.h"

namespace hearth {

/// A row as it stands in its file. `format` says which members are meant.
struct RawRow {
  Format format = Format::text;
  std::string text;
  std::string prompt, completion;
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> labels;  // not shifted; -100 = not trained; empty = every token is trained
};

/// Why a row cannot be used: a reason that rows can be counted by, and what exactly was found.
struct Complaint {
  std::string reason;
  std::string detail;
};

/// canonical column -> column of the file, as the recipe's `columns` says it.
using Columns = std::map<std::string, std::string>;

/// Throws Kind::usage when `columns` names a column that no readable format has, or maps two onto one.
void check_columns(const Columns& columns);

/// The keys of a row (after `columns`), in the order of the line; nothing when the line is no JSON object.
std::optional<std::vector<std::string>> keys_of(std::string_view line, const Columns& columns);
/// Why keys_of gives nothing, in words.
std::string why_no_object(std::string_view line);
/// Every format whose keys are all among these.
std::vector<Format> formats_that_fit(const std::vector<std::string>& keys);

/// Reads lines of one format.
class RowParser {
 public:
  /// vocabulary: ids at or above it are refused; 0 = not known.
  RowParser(Format format, Columns columns, std::int64_t vocabulary);
  ~RowParser();
  RowParser(RowParser&&) noexcept;

  /// Fills `row`, or says why it cannot. Columns that no rule knows are counted in `unknown`, by their name in the
  /// file.
  std::optional<Complaint> parse(std::string_view line, RawRow& row, std::map<std::string, std::int64_t>& unknown);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "not UTF-8" with line and byte offset in the file, or nothing. `text` begins at that line and offset.
std::optional<Complaint> utf8_complaint(std::string_view text, std::uint64_t first_line, std::uint64_t first_offset);

}  // namespace hearth
