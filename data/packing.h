// Which stretches of which documents make up a row.
//
// Words: a piece is a stretch of one document; a row is what the model sees at once, one or more pieces end to end.
// Everything here is a pure function of its arguments: ranks, threads and time do not enter.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hearth {

enum class Packing {
  none,    // one piece a row
  bfd,     // whole pieces, best fit decreasing: each into the fullest row that has room
  wrapped  // documents end to end, cut every cutoff_len tokens
};

/// Tokens [first, first + count) of a document.
struct Piece {
  std::int64_t document = 0;
  std::int64_t first = 0;
  std::int64_t count = 0;
  /// The next token of the document is trained too, in another row: then it is what the last token here has to predict.
  /// (So cutting a document costs no trained token. Positions still begin at 0 in every piece.)
  bool continues = false;
  bool operator==(const Piece&) const = default;
};

struct Plan {
  std::vector<Piece> pieces;                   // row by row
  std::vector<std::int64_t> row_starts = {0};  // into pieces; one more than there are rows
  std::int64_t rows() const { return static_cast<std::int64_t>(row_starts.size()) - 1; }
  std::span<const Piece> row(std::int64_t index) const;
};

/// Rows of at most `cutoff_len` tokens that hold every token of `pieces` once. REQUIRES: no piece is empty, and none is
/// longer than cutoff_len unless packing is wrapped. Rows are in the order of their first pieces, pieces within a row
/// in the order given.
Plan pack(std::span<const Piece> pieces, Packing packing, std::int64_t cutoff_len);

/// Cuts a piece into pieces of at most `cutoff_len` tokens, all but the last of which continue.
void cut(const Piece& piece, std::int64_t cutoff_len, std::vector<Piece>& into);

}  // namespace hearth
