// The rows of all sources, walked in order, as a whole or one part of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "data/row.h"
#include "data/sources.h"

namespace hearth {

/// Where a row stands.
struct RowPlace {
  int file = 0;            // into Sources::files
  std::uint64_t line = 1;  // from 1
};

struct WalkCounts {
  std::int64_t blank_lines = 0;
  std::map<std::string, std::int64_t> unknown_columns;  // rows that have such a column
};

/// Receives rows: `row`, which may be moved from, or the complaint why there is none (then `row` is undefined).
using RowVisitor = std::function<void(const RowPlace&, RawRow& row, std::optional<Complaint>& complaint)>;

/// Calls `visit` for every row of part `part` of `parts`, in order. The parts cover all rows, each row once, in the
/// order that one part alone would have; they are cut by bytes, so that no part has more work than it must. Returns
/// counts for each dataset. Line ends stay as they are in the file; a byte order mark at the start of a file is taken
/// off.
std::vector<WalkCounts> walk_rows(const Sources& sources, int part, int parts, std::int64_t vocabulary,
                                  const RowVisitor& visit);

/// Every text of the sources (texts, prompts, completions), for training a tokenizer. A row that cannot be read is an
/// error naming file, line and reason.
void walk_texts(const Sources& sources, const std::function<void(std::string_view)>& visit);

}  // namespace hearth
