// Padding, which rows a context rank has, and which keys its queries see.
#include "model/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "kernels/backend.h"
#include "model/block_bench.h"

namespace hearth {
namespace {

using testing::ElementsAre;

TEST(PadTo, AddsADocumentThatCountsForNothing) {
  Documents documents = test::documents({3, 2}, 11, 1);
  const Documents before = documents;
  pad_to(documents, 4);
  EXPECT_EQ(documents.tokens.size(), 8U);
  EXPECT_THAT(documents.starts, ElementsAre(0, 3, 5));
  EXPECT_TRUE(std::equal(before.tokens.begin(), before.tokens.end(), documents.tokens.begin()));
  EXPECT_TRUE(std::equal(before.targets.begin(), before.targets.end(), documents.targets.begin()));
  EXPECT_TRUE(std::equal(before.weights.begin(), before.weights.end(), documents.weights.begin()));
  EXPECT_TRUE(std::equal(before.example.begin(), before.example.end(), documents.example.begin()));
  EXPECT_THAT(std::vector(documents.targets.begin() + 5, documents.targets.end()), ElementsAre(-1, -1, -1));
  EXPECT_THAT(std::vector(documents.weights.begin() + 5, documents.weights.end()), ElementsAre(0, 0, 0));
  EXPECT_THAT(std::vector(documents.example.begin() + 5, documents.example.end()), ElementsAre(-1, -1, -1));
}

TEST(PadTo, LeavesWhatDivides) {
  Documents documents = test::documents({3, 3}, 11, 1);
  pad_to(documents, 3);
  EXPECT_EQ(documents.tokens.size(), 6U);
  EXPECT_THAT(documents.starts, ElementsAre(0, 3));
  pad_to(documents, 1);
  EXPECT_EQ(documents.tokens.size(), 6U);
}

TEST(TokenMultiple, IsWhatBothCutsNeed) {
  EXPECT_EQ(token_multiple({1, 1}), 1);
  EXPECT_EQ(token_multiple({3, 1}), 3);
  EXPECT_EQ(token_multiple({1, 4}), 8);
  EXPECT_EQ(token_multiple({3, 2}), 12);
}

TEST(ContextRows, AreTheFirstAndTheLast) {
  EXPECT_THAT(context_rows(7, 0, 1), ElementsAre(Interval{0, 7}));
  EXPECT_THAT(context_rows(12, 0, 3), ElementsAre(Interval{0, 2}, Interval{10, 12}));
  EXPECT_THAT(context_rows(12, 1, 3), ElementsAre(Interval{2, 4}, Interval{8, 10}));
  EXPECT_THAT(context_rows(12, 2, 3), ElementsAre(Interval{4, 6}, Interval{6, 8}));
  EXPECT_THROW(context_rows(10, 0, 3), Error) << "rows are never dropped";
}

std::vector<std::int64_t> listed(const std::vector<Interval>& rows) {
  std::vector<std::int64_t> all;
  for (const Interval& stretch : rows) {
    for (std::int64_t row = stretch.begin; row < stretch.end; ++row) all.push_back(row);
  }
  return all;
}

/// Pairs (query, key) of the microbatch that the ranges of all ranks stand for, each once, are those of the mask.
TEST(BatchMaker, RangesOfAllRanksAreTheMask) {
  const auto backend = make_plain_backend();
  for (const std::vector<std::int32_t>& lengths : {std::vector{24}, {1, 7, 2, 13, 1}, {23, 1}}) {
    for (const int size : {1, 2, 3, 4}) {
      for (const std::int64_t window : {0, 1, 5}) {
        SCOPED_TRACE(fmt::format("{} documents, context {}, window {}", lengths.size(), size, window));
        const Documents documents = test::documents(lengths, 11, 1);
        std::set<std::pair<std::int64_t, std::int64_t>> right, found;
        std::int64_t begin = 0;
        for (const std::int32_t length : lengths) {
          for (std::int64_t query = begin; query < begin + length; ++query) {
            const std::int64_t first = window == 0 || size == 1 ? begin : std::max(begin, query + 1 - window);
            for (std::int64_t key = first; key <= query; ++key) right.emplace(query, key);
          }
          begin += length;
        }
        for (int rank = 0; rank < size; ++rank) {
          BatchMaker maker(test::rotary(2), 24 / size, Dtype::f64, backend->ops(), backend->memory(),
                           {rank, size, window});
          const Batch batch = maker.make(documents);
          EXPECT_EQ(batch.window, size == 1 ? 0 : window) << "one rank leaves the window to attention";
          ASSERT_EQ(batch.keys.size(), static_cast<std::size_t>(size));
          const auto queries = listed(context_rows(24, rank, size));
          for (int owner = 0; owner < size; ++owner) {
            const KeyRange& range = batch.keys[static_cast<std::size_t>(owner)];
            const auto keys = listed(context_rows(24, owner, size));
            const auto first = range.first.span<std::int32_t>();
            const auto last = range.last.span<std::int32_t>();
            EXPECT_TRUE(std::is_sorted(first.begin(), first.end()) && std::is_sorted(last.begin(), last.end()));
            bool visible = false;
            for (std::size_t t = 0; t < queries.size(); ++t) {
              ASSERT_LE(first[t], last[t]);
              for (std::int32_t s = first[t]; s < last[t]; ++s) {
                visible = true;
                EXPECT_TRUE(found.emplace(queries[t], keys[static_cast<std::size_t>(s)]).second) << "a pair twice";
              }
            }
            EXPECT_EQ(range.visible, visible);
          }
        }
        EXPECT_EQ(found, right);
      }
    }
  }
}

/// What is made before the cut: targets point across it, positions count across it.
TEST(BatchMaker, GivesEachRankItsRows) {
  const auto backend = make_plain_backend();
  const Documents documents = test::documents({5, 11}, 11, 1);
  BatchMaker whole(test::rotary(4), 16, Dtype::f64, backend->ops(), backend->memory());
  const Batch all = whole.make(documents);
  for (int rank = 0; rank < 4; ++rank) {
    BatchMaker maker(test::rotary(4), 4, Dtype::f64, backend->ops(), backend->memory(), {rank, 4, 0});
    const Batch some = maker.make(documents);
    std::size_t t = 0;
    for (const std::int64_t row : listed(context_rows(16, rank, 4))) {
      const auto at = static_cast<std::size_t>(row);
      EXPECT_EQ(some.tokens.span<std::int32_t>()[t], documents.tokens[at]);
      EXPECT_EQ(some.targets.span<std::int32_t>()[t], documents.targets[at]);
      EXPECT_EQ(some.example.span<std::int32_t>()[t], documents.example[at]);
      EXPECT_EQ(some.weights.span<float>()[t], documents.weights[at]);
      EXPECT_EQ(some.positions.span<std::int32_t>()[t], row < 5 ? row : row - 5);
      for (std::int64_t j = 0; j < 2; ++j) {
        EXPECT_EQ(some.cosine.row<double>(static_cast<std::int64_t>(t))[j], all.cosine.row<double>(row)[j]);
        EXPECT_EQ(some.sine.row<double>(static_cast<std::int64_t>(t))[j], all.sine.row<double>(row)[j]);
      }
      ++t;
    }
    EXPECT_EQ(t, 4U);
  }
}

}  // namespace
}  // namespace hearth
