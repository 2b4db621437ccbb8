// From the documents of a store to the pieces that are packed: held-out ones apart, too long ones dealt with, untrained
// ones taken out. For prepare; pure functions of the store and the options.
#pragma once

#include <string>
#include <vector>

#include "data/prepare.h"

namespace hearth {

/// The reason that rows with nothing to train on are counted and listed by: such a row is a bad row.
constexpr const char* no_trained_token = "no trained token";

/// A document, or a piece of one, that did not stay as it was.
struct LeftOut {
  Piece piece;
  std::string what;         // "dropped", "truncated", "split"
  std::string reason;       // what it is counted by
  std::int64_t tokens = 0;  // lost
};

/// What one set of rows is made from.
struct Selection {
  std::vector<Piece> pieces;
  std::vector<LeftOut> left_out;
  std::int64_t untrained = 0;  // of those in left_out: rows with nothing to train on, which are bad rows
};

/// All documents of a store, whole.
std::vector<Piece> whole_documents(const TokenStore& store);

/// Moves `val_size` of the documents into the second list, chosen by seed; with fewer than twenty documents, all of
/// which can be cut, pieces of cutoff_len. What stays in the first list keeps its order; neighbouring pieces are one
/// again. Throws Kind::data when nothing would be left to train on.
std::pair<std::vector<Piece>, std::vector<Piece>> hold_out(const TokenStore& store, const Sources& sources,
                                                           const DataOptions& options);

/// Whether a document may be cut into pieces: texts, and ids in pt. Rows with a prompt would lose it.
bool may_be_cut(const TokenStore& store, const Sources& sources, DataStage stage, std::int64_t document);

/// Applies `overflow` and takes out what nothing is trained on. Throws Kind::data for documents that are too long when
/// overflow is raise, listing the longest.
Selection select(const TokenStore& store, const Sources& sources, const DataOptions& options,
                 const std::vector<Piece>& pieces);

/// Takes rows without any target out of a plan (the tail of a wrapped corpus can be one).
Plan without_untrained_rows(const TokenStore& store, const Plan& plan, std::vector<LeftOut>& left_out);

}  // namespace hearth
