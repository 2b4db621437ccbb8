// Rows ready for the model, read from a token store when they are asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/packing.h"
#include "data/token_store.h"

namespace hearth {

/// What the model sees at once. Documents never see each other, and positions begin at 0 in each.
struct Row {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> targets;          // what each token has to predict, -1 = nothing; already shifted
  std::vector<std::int32_t> document_starts;  // where pieces begin, and the row's length at the end
};

/// The number of tokens in a piece that have a target.
std::int64_t trained_in(const TokenStore& store, const Piece& piece);

/// Reading is safe from several threads.
class Dataset {
 public:
  /// vocabulary: a token at or above it is an error when its row is read; 0 = not known.
  Dataset(std::shared_ptr<const TokenStore> store, Plan plan, std::int64_t vocabulary);

  std::int64_t rows() const { return plan_.rows(); }
  std::int64_t tokens(std::int64_t row) const;
  std::int64_t trained(std::int64_t row) const;  // targets that are not -1
  Row row(std::int64_t index) const;
  std::span<const Piece> pieces(std::int64_t row) const { return plan_.row(row); }
  const TokenStore& store() const { return *store_; }

  std::int64_t tokens() const { return tokens_; }
  std::int64_t trained() const { return trained_; }
  std::int64_t longest_row() const { return longest_; }

 private:
  std::shared_ptr<const TokenStore> store_;
  Plan plan_;
  std::int64_t vocabulary_;
  std::vector<std::int32_t> row_tokens_, row_trained_;
  std::int64_t tokens_ = 0;
  std::int64_t trained_ = 0;
  std::int64_t longest_ = 0;
};

}  // namespace hearth
