#include "data/dataset.h"

#include <algorithm>

#include "base/error.h"

namespace hearth {

std::int64_t trained_in(const TokenStore& store, const Piece& piece) {
  const std::int64_t first = piece.first + 1;  // labels that the piece's tokens have to predict: [first, last)
  const std::int64_t last = piece.first + piece.count + (piece.continues ? 1 : 0);
  const auto labels = store.labels(piece.document);
  if (labels.empty()) return std::max<std::int64_t>(0, last - std::max(first, store.trained_from(piece.document)));
  return std::count_if(labels.begin() + first, labels.begin() + last, [](std::int32_t label) { return label >= 0; });
}

Dataset::Dataset(std::shared_ptr<const TokenStore> store, Plan plan, std::int64_t vocabulary)
    : store_(std::move(store)), plan_(std::move(plan)), vocabulary_(vocabulary) {
  for (std::int64_t index = 0; index < rows(); ++index) {
    std::int64_t row_tokens = 0;
    std::int64_t row_trained = 0;
    for (const Piece& piece : plan_.row(index)) {
      const std::int64_t end = piece.first + piece.count;
      const std::int64_t length = store_->length(piece.document);
      require(piece.first >= 0 && piece.count > 0 && end <= length && (end < length || !piece.continues),
              "a piece lies within its document");
      row_tokens += piece.count;
      row_trained += trained_in(*store_, piece);
    }
    row_tokens_.push_back(static_cast<std::int32_t>(row_tokens));
    row_trained_.push_back(static_cast<std::int32_t>(row_trained));
    tokens_ += row_tokens;
    trained_ += row_trained;
    longest_ = std::max(longest_, row_tokens);
  }
}

std::int64_t Dataset::tokens(std::int64_t row) const {
  return row_tokens_.at(static_cast<std::size_t>(row));
}
std::int64_t Dataset::trained(std::int64_t row) const {
  return row_trained_.at(static_cast<std::size_t>(row));
}

namespace {

/// Appends what the tokens of a piece have to predict.
void append_targets(const TokenStore& store, const Piece& piece, std::vector<std::int32_t>& targets) {
  const auto tokens = store.tokens(piece.document);
  const auto labels = store.labels(piece.document);
  const std::int64_t trained_from = store.trained_from(piece.document);
  const std::int64_t last = piece.first + piece.count + (piece.continues ? 1 : 0);
  for (std::int64_t next = piece.first + 1; next <= piece.first + piece.count; ++next) {
    const auto at = static_cast<std::size_t>(next);
    if (next == last) {
      targets.push_back(-1);
    } else if (labels.empty()) {
      targets.push_back(next >= trained_from ? tokens[at] : -1);
    } else {
      targets.push_back(labels[at]);
    }
  }
}

void check(const std::vector<std::int32_t>& ids, std::int32_t least, std::int64_t vocabulary, const Path& store) {
  for (const std::int32_t id : ids) {
    if (id >= least && (vocabulary == 0 || id < vocabulary)) continue;
    fail(Kind::data, "{} holds the id {}, outside the vocabulary of {}; remove its folder and prepare again",
         store.string(), id, vocabulary);
  }
}

}  // namespace

Row Dataset::row(std::int64_t index) const {
  Row row;
  for (const Piece& piece : plan_.row(index)) {
    row.document_starts.push_back(static_cast<std::int32_t>(row.tokens.size()));
    const auto first = static_cast<std::size_t>(piece.first);
    const auto tokens = store_->tokens(piece.document).subspan(first, static_cast<std::size_t>(piece.count));
    row.tokens.insert(row.tokens.end(), tokens.begin(), tokens.end());
    append_targets(*store_, piece, row.targets);
  }
  row.document_starts.push_back(static_cast<std::int32_t>(row.tokens.size()));
  check(row.tokens, 0, vocabulary_, store_->folder());
  check(row.targets, -1, vocabulary_, store_->folder());
  return row;
}

}  // namespace hearth
