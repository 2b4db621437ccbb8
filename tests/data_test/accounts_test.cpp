// Nothing is lost, nothing is seen twice, and nothing held out is trained, however rows are packed and ranks share
// work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>

#include "data_test/support.h"

namespace hearth::test {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::HasSubstr;

/// What a document's tokens should be predicted as, from its store entry, by definition.
Ids labels_of(const TokenStore& store, std::int64_t document) {
  const auto own = store.labels(document);
  if (!own.empty()) return {own.begin(), own.end()};
  const auto tokens = store.tokens(document);
  Ids labels(tokens.begin(), tokens.end());
  for (std::int64_t t = 0; t < store.trained_from(document); ++t) labels[static_cast<std::size_t>(t)] = -1;
  return labels;
}

TEST(Accounts, PackingNeitherLosesNorMixesAnything) {
  // Unpacked, the rows are the documents: every token once, every label but the first once, in its place.
  for (const Packing packing : {Packing::none, Packing::bfd, Packing::wrapped}) {
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      Work work("a.jsonl", texts(40, seed, 60));
      work.use((work.folder.path() / "data").string());
      work.add("b.jsonl", "{\"input_ids\": [5, 6, 7, 8, 9], \"labels\": [5, -100, 9, 8, -100]}\n");
      work.options.packing = packing;
      work.options.cutoff_len = 7 + static_cast<std::int64_t>(5 * seed);
      const Dataset train = work.run().train;
      const TokenStore& store = train.store();
      std::vector<Ids> tokens, labels;
      for (std::int64_t d = 0; d < store.documents(); ++d) {
        tokens.emplace_back(store.length(d), -7);
        labels.emplace_back(store.length(d) + 1, -1);
      }
      for (std::int64_t r = 0; r < train.rows(); ++r) {
        const Row row = train.row(r);
        ASSERT_LE(static_cast<std::int64_t>(row.tokens.size()), work.options.cutoff_len);
        ASSERT_EQ(row.tokens.size(), row.targets.size());
        ASSERT_EQ(row.document_starts.size(), train.pieces(r).size() + 1);
        for (std::size_t p = 0; p < train.pieces(r).size(); ++p) {
          const Piece& piece = train.pieces(r)[p];
          const auto first = static_cast<std::size_t>(row.document_starts[p]);
          ASSERT_EQ(first + static_cast<std::size_t>(piece.count),
                    static_cast<std::size_t>(row.document_starts[p + 1]));
          for (std::size_t t = 0; t < static_cast<std::size_t>(piece.count); ++t) {
            auto& token = tokens[static_cast<std::size_t>(piece.document)][static_cast<std::size_t>(piece.first) + t];
            EXPECT_EQ(token, -7) << "a token is there twice";
            token = row.tokens[first + t];
            labels[static_cast<std::size_t>(piece.document)][static_cast<std::size_t>(piece.first) + t + 1] =
                row.targets[first + t];
          }
        }
      }
      for (std::int64_t d = 0; d < store.documents(); ++d) {
        const auto at = static_cast<std::size_t>(d);
        Ids expected = labels_of(store, d);
        expected[0] = -1;        // nothing predicts a document's first token
        expected.push_back(-1);  // and its last predicts nothing
        const auto all = store.tokens(d);
        // A last piece of one token has nothing to predict and is left out where it would be a piece of its own.
        if (packing != Packing::wrapped && tokens[at].back() == -7) tokens[at].back() = all.back();
        EXPECT_EQ(tokens[at], Ids(all.begin(), all.end()));
        EXPECT_EQ(labels[at], expected);
      }
    }
  }
}

TEST(Accounts, EveryTokenIsInARowOrReported) {
  for (const Overflow overflow : {Overflow::drop, Overflow::truncate, Overflow::split}) {
    for (const Packing packing : {Packing::none, Packing::bfd, Packing::wrapped}) {
      for (std::uint64_t seed = 0; seed < 5; ++seed) {
        Work work("a.jsonl", texts(50, seed, 40) + "{\"text\": \"\"}\n{\"txt\": \"\"}\n");
        work.options.packing = packing;
        work.options.overflow = overflow;
        work.options.cutoff_len = 20 + static_cast<std::int64_t>(seed);
        work.options.val_size = seed % 2 == 0 ? 0 : 7;
        work.options.bad_rows = BadRows::drop;
        work.options.bad_rows_limit = 2;
        const Prepared prepared = work.run();
        const Counts& counts = prepared.counts;
        const DatasetCounts& read = counts.read[0].counts;
        EXPECT_EQ(read.rows, 52);
        EXPECT_EQ(read.documents + 2, read.rows);
        EXPECT_EQ(counts.train.documents + counts.eval.documents, read.documents);
        EXPECT_EQ(counts.train.given_tokens + counts.eval.given_tokens, read.tokens);
        std::int64_t lines = 2;
        for (const SetCounts* set : {&counts.train, &counts.eval}) {
          std::int64_t lost = set->truncated.tokens;
          for (const auto& [reason, one] : set->dropped) {
            lost += one.tokens;
            lines += one.rows;
          }
          lines += set->truncated.rows + set->split;
          EXPECT_EQ(set->given_tokens, set->tokens + lost);
        }
        EXPECT_EQ(counts.train.tokens, prepared.train.tokens());
        EXPECT_EQ(counts.train.trained, prepared.train.trained());
        std::int64_t trained = 0;
        for (std::int64_t r = 0; r < prepared.train.rows(); ++r) {
          const Row row = prepared.train.row(r);
          const auto valid =
              std::count_if(row.targets.begin(), row.targets.end(), [](std::int32_t t) { return t >= 0; });
          EXPECT_EQ(valid, prepared.train.trained(r));
          EXPECT_GT(valid, 0);
          trained += valid;
        }
        EXPECT_EQ(trained, counts.train.trained);
        const std::string side = work.side();
        EXPECT_EQ(std::count(side.begin(), side.end(), '\n'), lines);
        if (overflow == Overflow::split && seed % 2 == 0) {
          EXPECT_EQ(counts.train.trained, read.trained);
        }
      }
    }
  }
}

TEST(Accounts, HeldOutDocumentsAreChosenBySeedAndNotTrained) {
  Work work("a.jsonl", texts(50, 3, 12));
  work.options.val_size = 0.2;
  const Prepared first = work.run();
  EXPECT_EQ(first.counts.eval.documents, 10);
  EXPECT_EQ(first.counts.train.documents, 40);
  std::set<std::int64_t> held, trained;
  for (std::int64_t r = 0; r < first.eval->rows(); ++r) held.insert(first.eval->pieces(r)[0].document);
  for (std::int64_t r = 0; r < first.train.rows(); ++r) trained.insert(first.train.pieces(r)[0].document);
  EXPECT_EQ(held.size() + trained.size(), 50U);
  for (const std::int64_t d : held) EXPECT_FALSE(trained.contains(d));
  EXPECT_EQ(rows_of(*work.run().eval), rows_of(*first.eval));
  work.options.seed = 43;
  EXPECT_FALSE(rows_of(*work.run().eval) == rows_of(*first.eval));
  work.options.val_size = 3;
  EXPECT_EQ(work.run().counts.eval.documents, 3);
  work.options.val_size = 50;
  EXPECT_THAT(work.refused(Kind::data), HasSubstr("nothing would be left"));
}

TEST(Accounts, OfFewDocumentsPiecesAreHeldOut) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += static_cast<char>('a' + i % 26);
  Work work("a.txt", text);  // 402 tokens: 25 pieces of 16 and one of 2
  work.options.packing = Packing::wrapped;
  work.options.val_size = 0.25;
  const Prepared prepared = work.run();
  EXPECT_EQ(prepared.train.tokens() + prepared.eval->tokens(), 402);
  std::vector<int> times(402, 0);
  std::vector<bool> held(403, false);
  for (std::int64_t r = 0; r < prepared.eval->rows(); ++r) {
    for (const Piece& piece : prepared.eval->pieces(r)) {
      for (std::int64_t t = piece.first; t < piece.first + piece.count; ++t) {
        ++times[static_cast<std::size_t>(t)];
        held[static_cast<std::size_t>(t)] = true;
      }
    }
  }
  std::int64_t targets = 0;
  for (std::int64_t r = 0; r < prepared.train.rows(); ++r) {
    const Row row = prepared.train.row(r);
    std::size_t at = 0;
    for (const Piece& piece : prepared.train.pieces(r)) {
      for (std::int64_t t = piece.first; t < piece.first + piece.count; ++t, ++at) {
        ++times[static_cast<std::size_t>(t)];
        if (row.targets[at] < 0) continue;
        ++targets;
        EXPECT_FALSE(held[static_cast<std::size_t>(t) + 1]) << "a held-out token is a target";
      }
    }
  }
  EXPECT_THAT(times, testing::Each(1));
  EXPECT_GT(targets, 260);
}

TEST(Accounts, FewRowsWithPromptsAreHeldOutWhole) {
  std::string lines;
  for (int i = 0; i < 10; ++i) lines += fmt::format("{{\"prompt\": \"question {}\", \"completion\": \"answer\"}}\n", i);
  Work work("a.jsonl", lines);
  work.options.rules.stage = DataStage::sft;
  work.options.cutoff_len = 30;
  work.options.val_size = 0.3;
  EXPECT_EQ(work.run().eval->rows(), 3);
}

TEST(Accounts, AnotherDatasetCanBeHeldOut) {
  Work work("a.jsonl", texts(30, 1, 10));
  work.options.eval_datasets = {{work.add("b.jsonl", "{\"text\": \"held out\"}\n"), {}, "", 1, {}, {}}};
  const Prepared prepared = work.run();
  EXPECT_EQ(prepared.train.rows(), 30);
  EXPECT_EQ(rows_of(*prepared.eval).tokens, (std::vector<Ids>{document_ids("held out")}));
  EXPECT_EQ(prepared.counts.read_eval[0].counts.documents, 1);
  EXPECT_NE(prepared.counts.store, prepared.counts.eval_store);
}

TEST(Accounts, AnyNumberOfPartsSeesTheSameRows) {
  std::optional<Rows> train, eval;
  for (const int parts : {1, 2, 3, 4}) {
    Work work("a.jsonl", texts(60, 9, 50));
    work.options.packing = Packing::wrapped;
    work.options.val_size = 0.1;
    as_parts(parts, [&](const Together& together) {
      const Prepared prepared = prepare(work.options, &work.encoder, together);
      static std::mutex mutex;
      const std::lock_guard lock(mutex);
      if (!train) train = rows_of(prepared.train);
      if (!eval) eval = rows_of(*prepared.eval);
      EXPECT_TRUE(rows_of(prepared.train) == *train) << parts;
      EXPECT_TRUE(rows_of(*prepared.eval) == *eval) << parts;
    });
  }
}

TEST(Accounts, ARefusalIsTheSameOnAllParts) {
  Work work("a.jsonl", texts(20, 9, 10) + "not json\n");
  EXPECT_THAT(
      error_of(Kind::data,
               [&] { as_parts(3, [&](const Together& together) { prepare(work.options, &work.encoder, together); }); }),
      HasSubstr("line 21"));
  work.use((work.folder.path() / "absent").string());
  EXPECT_THAT(
      error_of(Kind::data,
               [&] { as_parts(3, [&](const Together& together) { prepare(work.options, &work.encoder, together); }); }),
      HasSubstr("does not exist"));
}

}  // namespace
}  // namespace hearth::test
