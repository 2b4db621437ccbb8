#include "data/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "base/random.h"

namespace hearth {
namespace {

std::vector<Piece> random_pieces(std::uint64_t seed, std::int64_t count, std::int64_t longest) {
  const Key key(seed);
  std::vector<Piece> pieces;
  for (std::int64_t d = 0; d < count; ++d) {
    const auto index = static_cast<std::uint64_t>(d);
    pieces.push_back(
        {d, 0, 1 + static_cast<std::int64_t>(key.below(static_cast<std::uint64_t>(longest), index)), false});
  }
  return pieces;
}

/// Every token of the pieces is in the plan once, no row is too long, and within a document the pieces go in order.
void expect_all_there(const std::vector<Piece>& pieces, const Plan& plan, std::int64_t cutoff_len) {
  std::map<std::int64_t, std::int64_t> next;
  for (std::int64_t r = 0; r < plan.rows(); ++r) {
    std::int64_t tokens = 0;
    for (const Piece& piece : plan.row(r)) {
      EXPECT_EQ(piece.first, next[piece.document]);
      EXPECT_GT(piece.count, 0);
      next[piece.document] += piece.count;
      tokens += piece.count;
      EXPECT_EQ(piece.continues, next[piece.document] < pieces[static_cast<std::size_t>(piece.document)].count);
    }
    EXPECT_GT(tokens, 0);
    EXPECT_LE(tokens, cutoff_len);
  }
  for (const Piece& piece : pieces) EXPECT_EQ(next[piece.document], piece.count);
  EXPECT_EQ(plan.row_starts.back(), static_cast<std::int64_t>(plan.pieces.size()));
}

TEST(Packing, WrappedFillsEveryRowButTheLast) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const std::int64_t cutoff_len = 2 + static_cast<std::int64_t>(Key(seed).with("cutoff").below(30, 0));
    const std::vector<Piece> pieces = random_pieces(seed, 25, 70);
    const Plan plan = pack(pieces, Packing::wrapped, cutoff_len);
    expect_all_there(pieces, plan, cutoff_len);
    for (std::int64_t r = 0; r + 1 < plan.rows(); ++r) {
      std::int64_t tokens = 0;
      for (const Piece& piece : plan.row(r)) tokens += piece.count;
      EXPECT_EQ(tokens, cutoff_len);
    }
  }
}

TEST(Packing, BestFitKeepsPiecesWholeAndIsNotWorseThanFirstFit) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const std::int64_t cutoff_len = 64;
    const std::vector<Piece> pieces = random_pieces(seed, 60, 64);
    const Plan plan = pack(pieces, Packing::bfd, cutoff_len);
    expect_all_there(pieces, plan, cutoff_len);
    EXPECT_EQ(plan.pieces.size(), pieces.size());
    std::int64_t total = 0;
    for (const Piece& piece : pieces) total += piece.count;
    // Best fit decreasing needs at most 11/9 of the best possible, plus one row.
    EXPECT_LE(plan.rows(), ((total + 63) / 64) * 11 / 9 + 4);
    EXPECT_GE(plan.rows(), (total + 63) / 64);
    for (std::int64_t r = 1; r < plan.rows(); ++r) EXPECT_LT(plan.row(r - 1)[0].document, plan.row(r)[0].document);
  }
}

TEST(Packing, BestFitTakesTheFullestRowThatHasRoom) {
  const std::vector<Piece> pieces = {
      {0, 0, 4, false}, {1, 0, 6, false}, {2, 0, 7, false}, {3, 0, 3, false}, {4, 0, 8, false}};
  const Plan plan = pack(pieces, Packing::bfd, 10);  // 8 | 7 3 | 6 4
  std::vector<std::vector<std::int64_t>> rows;
  for (std::int64_t r = 0; r < plan.rows(); ++r) {
    rows.emplace_back();
    for (const Piece& piece : plan.row(r)) rows.back().push_back(piece.document);
  }
  EXPECT_THAT(rows,
              testing::ElementsAre(testing::ElementsAre(0, 1), testing::ElementsAre(2, 3), testing::ElementsAre(4)));
}

TEST(Packing, NoneGivesEachPieceItsRow) {
  const std::vector<Piece> pieces = random_pieces(7, 9, 20);
  const Plan plan = pack(pieces, Packing::none, 20);
  expect_all_there(pieces, plan, 20);
  EXPECT_EQ(plan.rows(), 9);
  EXPECT_EQ(plan.pieces, pieces);
}

TEST(Packing, NothingGivesNoRows) {
  for (const Packing packing : {Packing::none, Packing::bfd, Packing::wrapped})
    EXPECT_EQ(pack({}, packing, 8).rows(), 0);
}

TEST(Packing, APieceThatDoesNotFitIsADefect) {
  const std::vector<Piece> pieces = {{0, 0, 9, false}};
  EXPECT_THROW(pack(pieces, Packing::bfd, 8), Error);
  EXPECT_THROW(pack(pieces, Packing::none, 8), Error);
  EXPECT_EQ(pack(pieces, Packing::wrapped, 8).rows(), 2);
}

TEST(Packing, CutsContinueUntilTheLast) {
  std::vector<Piece> pieces;
  cut({3, 10, 25, false}, 10, pieces);
  EXPECT_THAT(pieces, testing::ElementsAre(Piece{3, 10, 10, true}, Piece{3, 20, 10, true}, Piece{3, 30, 5, false}));
}

}  // namespace
}  // namespace hearth
