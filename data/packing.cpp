#include "data/packing.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"

namespace hearth {

namespace {

/// The row of each piece under best fit decreasing: longest first, equal ones in order; among rows with least room that
/// is enough, the oldest. Returns the number of rows.
std::int64_t best_fit(std::span<const Piece> pieces, std::int64_t cutoff_len, std::vector<std::int64_t>& row_of) {
  std::vector<std::size_t> order(pieces.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return pieces[a].count > pieces[b].count; });
  std::set<std::pair<std::int64_t, std::int64_t>> room;  // (tokens left, row) of rows that are not full
  std::int64_t rows = 0;
  for (const std::size_t i : order) {
    const auto fit = room.lower_bound({pieces[i].count, 0});
    const auto [left, row] = fit == room.end() ? std::pair{cutoff_len, rows++} : *fit;
    if (fit != room.end()) room.erase(fit);
    if (left > pieces[i].count) room.insert({left - pieces[i].count, row});
    row_of[i] = row;
  }
  return rows;
}

Plan packed_whole(std::span<const Piece> pieces, std::int64_t cutoff_len) {
  std::vector<std::int64_t> row_of(pieces.size());
  const std::int64_t rows = best_fit(pieces, cutoff_len, row_of);
  std::vector<std::int64_t> place(static_cast<std::size_t>(rows), -1);  // of a row, in the order of first pieces
  std::int64_t placed = 0;
  for (std::int64_t& row : row_of) {
    std::int64_t& at = place[static_cast<std::size_t>(row)];
    if (at < 0) at = placed++;
    row = at;
  }
  std::vector<std::size_t> order(pieces.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return row_of[a] < row_of[b]; });
  Plan plan;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && row_of[order[i]] != row_of[order[i - 1]]) plan.row_starts.push_back(static_cast<std::int64_t>(i));
    plan.pieces.push_back(pieces[order[i]]);
  }
  if (!order.empty()) plan.row_starts.push_back(static_cast<std::int64_t>(order.size()));
  return plan;
}

Plan wrapped(std::span<const Piece> pieces, std::int64_t cutoff_len) {
  Plan plan;
  std::int64_t used = 0;  // of the row that is being filled
  for (Piece rest : pieces) {
    while (rest.count > 0) {
      Piece here = rest;
      here.count = std::min(rest.count, cutoff_len - used);
      here.continues = here.count < rest.count || rest.continues;
      plan.pieces.push_back(here);
      rest.first += here.count;
      rest.count -= here.count;
      used += here.count;
      if (used < cutoff_len) continue;
      plan.row_starts.push_back(static_cast<std::int64_t>(plan.pieces.size()));
      used = 0;
    }
  }
  if (used > 0) plan.row_starts.push_back(static_cast<std::int64_t>(plan.pieces.size()));
  return plan;
}

}  // namespace

std::span<const Piece> Plan::row(std::int64_t index) const {
  require(index >= 0 && index < rows(), "a row is one of the plan's");
  const auto first = static_cast<std::size_t>(row_starts[static_cast<std::size_t>(index)]);
  const auto last = static_cast<std::size_t>(row_starts[static_cast<std::size_t>(index) + 1]);
  return {pieces.data() + first, last - first};
}

Plan pack(std::span<const Piece> pieces, Packing packing, std::int64_t cutoff_len) {
  for (const Piece& piece : pieces) {
    require(piece.count > 0 && (packing == Packing::wrapped || piece.count <= cutoff_len),
            "pieces to pack fit into rows");
  }
  if (packing == Packing::wrapped) return wrapped(pieces, cutoff_len);
  if (packing == Packing::bfd) return packed_whole(pieces, cutoff_len);
  Plan plan;
  plan.pieces.assign(pieces.begin(), pieces.end());
  plan.row_starts.resize(pieces.size() + 1);
  std::iota(plan.row_starts.begin(), plan.row_starts.end(), std::int64_t{0});
  return plan;
}

void cut(const Piece& piece, std::int64_t cutoff_len, std::vector<Piece>& into) {
  Piece rest = piece;
  while (rest.count > 0) {
    Piece here = rest;
    here.count = std::min(rest.count, cutoff_len);
    here.continues = here.count < rest.count || rest.continues;
    into.push_back(here);
    rest.first += here.count;
    rest.count -= here.count;
  }
}

}  // namespace hearth
