#include "data/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/random.h"
#include "data_test/support.h"

namespace hearth::test {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::ElementsAre;
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

struct Work {
  Folder folder;
  ByteEncoder encoder;
  DataOptions options;

  explicit Work(const std::string& name = "", std::string_view content = "") : options(options_for("", folder.path())) {
    if (!name.empty()) options.datasets = {{add(name, content), {}, "", 1, {}, {}}};
  }
  std::string add(const std::string& name, std::string_view content) const {
    return put(folder.path() / "data" / name, content);
  }
  void use(const std::string& path) { options.datasets = {{path, {}, "", 1, {}, {}}}; }
  Prepared run() const { return prepare(options, &encoder, {}); }
  std::string refused(Kind kind) const {
    return error_of(kind, [&] { run(); });
  }
  std::string side() const { return read_text(folder.path() / "side" / "left_out_rows.jsonl"); }
};

std::string texts(int count, std::uint64_t seed, std::uint64_t longest) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    const auto size = static_cast<std::size_t>(1 + Key(seed).below(longest, static_cast<std::uint64_t>(i)));
    lines += fmt::format("{{\"text\": \"{}\"}}\n", std::string(size, static_cast<char>('a' + i % 26)));
  }
  return lines;
}

TEST(Prepare, AWrappedCorpusIsCutEveryCutoffLenAndNoTargetIsLost) {
  Work work("a.jsonl", "{\"text\": \"abcdef\"}\n{\"text\": \"xy\"}\n");  // 1 a b c d e f 2 | 1 x y 2
  work.options.packing = Packing::wrapped;
  work.options.cutoff_len = 5;
  const Rows rows = rows_of(work.run().train);
  const auto id = [](char c) { return c + 3; };
  EXPECT_THAT(rows.tokens, ElementsAre(Ids{1, id('a'), id('b'), id('c'), id('d')}, Ids{id('e'), id('f'), 2, 1, id('x')},
                                       Ids{id('y'), 2}));
  EXPECT_THAT(rows.targets, ElementsAre(Ids{id('a'), id('b'), id('c'), id('d'), id('e')},
                                        Ids{id('f'), 2, -1, id('x'), id('y')}, Ids{2, -1}));
  EXPECT_THAT(rows.starts, ElementsAre(Ids{0, 5}, Ids{0, 3, 5}, Ids{0, 2}));
}

TEST(Prepare, RowsWithLabelsAreTakenAsTheyAre) {
  Work work("a.jsonl", "{\"input_ids\": [5, 6, 7, 8], \"labels\": [5, -100, 9, 8]}\n{\"input_ids\": [1, 2]}\n");
  const Prepared prepared = prepare(work.options, nullptr, {});  // needs no tokenizer
  const Rows rows = rows_of(prepared.train);
  EXPECT_THAT(rows.tokens, ElementsAre(Ids{5, 6, 7, 8}, Ids{1, 2}));
  EXPECT_THAT(rows.targets, ElementsAre(Ids{-1, 9, 8, -1}, Ids{2, -1}));
  EXPECT_EQ(prepared.train.trained(0), 2);
  EXPECT_EQ(prepared.train.trained(1), 1);
  EXPECT_EQ(prepared.train.longest_row(), 4);
  EXPECT_EQ(prepared.counts.read[0].counts.trained, 3);
}

TEST(Prepare, OfAPairTheCompletionAndItsEndAreTrained) {
  Work work("a.jsonl", "{\"prompt\": \"ab\", \"completion\": \"cd\"}\n");
  work.options.rules.stage = DataStage::sft;
  const auto id = [](char c) { return c + 3; };
  EXPECT_THAT(rows_of(work.run().train).tokens, ElementsAre(Ids{1, id('a'), id('b'), id('c'), id('d'), 2}));
  EXPECT_THAT(rows_of(work.run().train).targets, ElementsAre(Ids{-1, -1, id('c'), id('d'), 2, -1}));
  work.options.rules.train_prompt = true;
  EXPECT_THAT(rows_of(work.run().train).targets, ElementsAre(Ids{id('a'), id('b'), id('c'), id('d'), 2, -1}));
  work.encoder.last = {};
  EXPECT_THAT(work.refused(Kind::data), HasSubstr("end token"));
}

TEST(Prepare, WithoutBeginOrEndTokenATextIsItsIds) {
  Work work("a.txt", "abc");
  work.encoder.first = {};
  EXPECT_EQ(rows_of(work.run().train).tokens[0], (Ids{'a' + 3, 'b' + 3, 'c' + 3, 2}));
  work.encoder.last = {};
  const Prepared prepared = work.run();  // another key: begin and end are part of it
  EXPECT_EQ(rows_of(prepared.train).tokens[0], (Ids{'a' + 3, 'b' + 3, 'c' + 3}));
  EXPECT_THAT(prepared.counts.remarks, ElementsAre(HasSubstr("no end token")));
}

TEST(Prepare, InSftTokenisedRowsBringTheirEnds) {
  Work work("a.jsonl",
            "{\"input_ids\": [1, 5, 2]}\n"
            "{\"input_ids\": [5, 2]}\n"
            "{\"input_ids\": [1, 5]}\n"
            "{\"input_ids\": [1, 5, 2], \"labels\": [-100, 5, -100]}\n");
  EXPECT_EQ(work.run().train.rows(), 4);
  work.options.rules.stage = DataStage::sft;
  EXPECT_THAT(work.refused(Kind::data),
              testing::AllOf(HasSubstr("3 rows"), HasSubstr("line 2: begin token missing"),
                             HasSubstr("line 3: end token missing"), HasSubstr("line 4: end token untrained")));
  EXPECT_THAT(prepare(work.options, nullptr, {}).counts.remarks, ElementsAre(HasSubstr("not checked")));
}

TEST(Prepare, PackingNeitherLosesNorMixesAnything) {
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

TEST(Prepare, EveryTokenIsInARowOrReported) {
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

TEST(Prepare, OverflowIsRaisedDroppedTruncatedOrSplit) {
  Work work("a.jsonl",
            "{\"text\": \"abcd\"}\n{\"text\": \"abcdefghijkl\"}\n{\"text\": \"abcdefgh\"}\n");  // 6, 14, 10 tokens
  work.options.cutoff_len = 8;
  work.options.overflow = Overflow::raise;
  EXPECT_THAT(work.refused(Kind::data), testing::AllOf(HasSubstr("2 of the rows are longer than cutoff_len 8"),
                                                       HasSubstr("line 2: 14 tokens\n"), HasSubstr("overflow: drop")));
  work.options.overflow = Overflow::drop;
  Prepared dropped = work.run();
  EXPECT_EQ(dropped.train.rows(), 1);
  EXPECT_EQ(dropped.counts.train.dropped.at("longer than cutoff_len").rows, 2);
  EXPECT_EQ(dropped.counts.train.dropped.at("longer than cutoff_len").tokens, 24);
  EXPECT_THAT(work.side(), testing::AllOf(HasSubstr("a.jsonl\",\"line\":2,\"set\":\"train\",\"what\":\"dropped\""),
                                          HasSubstr("\"tokens_lost\":10}")));
  work.options.overflow = Overflow::truncate;
  Prepared truncated = work.run();
  EXPECT_EQ(truncated.train.rows(), 3);
  EXPECT_EQ(truncated.train.row(1).targets.back(), -1) << "what was cut off is not predicted";
  EXPECT_EQ(truncated.counts.train.truncated.rows, 2);
  EXPECT_EQ(truncated.counts.train.truncated.tokens, 8);
  work.options.overflow = Overflow::split;
  Prepared split = work.run();
  EXPECT_EQ(split.train.rows(), 5);
  EXPECT_EQ(split.counts.train.split, 2);
  EXPECT_EQ(split.counts.train.pieces, 5);
}

TEST(Prepare, RowsWithAPromptAreNeverCutApart) {
  Work work("a.jsonl", "{\"prompt\": \"question\", \"completion\": \"answer\"}\n");
  work.options.rules.stage = DataStage::sft;
  work.options.cutoff_len = 12;
  EXPECT_THAT(work.refused(Kind::data), testing::AllOf(HasSubstr("line 1: 16 tokens"), HasSubstr("texts only")));
  work.options.packing = Packing::wrapped;
  EXPECT_THAT(work.refused(Kind::usage), HasSubstr("packing: bfd"));
}

TEST(Prepare, TruncationThatLeavesNothingTrainedIsRefusedOrCounted) {
  Work work("a.jsonl",
            "{\"prompt\": \"0123456789\", \"completion\": \"a\"}\n{\"prompt\": \"0\", \"completion\": \"a\"}\n");
  work.options.rules.stage = DataStage::sft;
  work.options.overflow = Overflow::truncate;
  work.options.cutoff_len = 8;
  EXPECT_THAT(work.refused(Kind::data),
              testing::AllOf(HasSubstr("1 rows cannot be used"), HasSubstr("rows with no trained token: 1"),
                             HasSubstr("bad_rows: drop")));
  work.options.bad_rows = BadRows::drop;
  work.options.bad_rows_limit = 1;
  const Prepared prepared = work.run();
  EXPECT_EQ(prepared.train.rows(), 1);
  EXPECT_EQ(prepared.counts.train.dropped.at("no trained token").rows, 1);
  EXPECT_THAT(work.side(), HasSubstr("no trained token"));
}

TEST(Prepare, RowsWithoutAnyTrainedLabelAreRefused) {
  Work work("a.jsonl",
            "{\"input_ids\": [5, 6], \"labels\": [-100, -100]}\n{\"input_ids\": [7]}\n{\"input_ids\": [7, 8], "
            "\"labels\": [7, -100]}\n{\"input_ids\": [7, 8]}\n");
  EXPECT_THAT(work.refused(Kind::data), HasSubstr("rows with no trained token: 3"));
}

TEST(Prepare, BadRowsStopUnlessDroppedWithinALimit) {
  Work work("a.jsonl", "{\"text\": \"abc\"}\n{\"text\": 1}\nnot json\n{\"text\": \"\"}\n");
  EXPECT_THAT(
      work.refused(Kind::data),
      testing::AllOf(HasSubstr("3 rows cannot be used"), HasSubstr("a.jsonl, line 2: column of another kind"),
                     HasSubstr("line 3: not JSON"), HasSubstr("line 4: empty row"), HasSubstr("left_out_rows.jsonl")));
  EXPECT_THAT(work.side(), HasSubstr("\"line\":3,\"what\":\"bad row\",\"reason\":\"not JSON\""));
  work.options.bad_rows = BadRows::drop;
  EXPECT_THAT(work.refused(Kind::usage), HasSubstr("bad_rows_limit"));
  work.options.bad_rows_limit = 2;
  EXPECT_THAT(work.refused(Kind::data), HasSubstr("more than bad_rows_limit 2"));
  work.options.bad_rows_limit = 3;
  const int calls = work.encoder.calls;
  const Prepared prepared = work.run();
  EXPECT_EQ(work.encoder.calls, calls) << "the store of the refused run is used";
  EXPECT_EQ(prepared.train.rows(), 1);
  EXPECT_EQ(prepared.counts.read[0].counts.bad.size(), 3U);
  EXPECT_THAT(prepared.counts.text(),
              testing::AllOf(HasSubstr("bad rows, left out: column of another kind 1, empty row 1, not JSON 1"),
                             HasSubstr("left_out_rows.jsonl")));
}

TEST(Prepare, TheSideFileOfAnEarlierRunGoesAway) {
  Work work("a.jsonl", "{\"text\": \"abc\"}\nnot json\n");
  work.refused(Kind::data);
  work.add("a.jsonl", "{\"text\": \"abc\"}\n");
  EXPECT_EQ(work.run().counts.side_file, "");
  EXPECT_FALSE(std::filesystem::exists(work.folder.path() / "side" / "left_out_rows.jsonl"));
}

TEST(Prepare, TextThatIsNotUtf8IsRefused) {
  Work work("a.txt", "fine\nbad \xe4 here\n");
  EXPECT_THAT(work.refused(Kind::data), testing::AllOf(HasSubstr("a.txt, line 1: not UTF-8: line 2, byte offset 9")));
}

TEST(Prepare, EmptyAndTooShortCorporaAreRefused) {
  Work empty("a.jsonl", "\n\n");
  EXPECT_THAT(empty.refused(Kind::data), HasSubstr("the format of its rows cannot be told"));
  Work nothing("a.jsonl", "");
  EXPECT_THAT(nothing.refused(Kind::data), testing::AllOf(HasSubstr("the corpus is empty"), HasSubstr("a.jsonl")));
  Work little("a.txt", "abc");
  little.options.packing = Packing::wrapped;
  little.options.cutoff_len = 64;
  EXPECT_THAT(little.refused(Kind::data),
              testing::AllOf(HasSubstr("5 tokens"), HasSubstr("cutoff_len is 64"), HasSubstr("packing: none")));
  little.options.packing = Packing::none;
  EXPECT_EQ(little.run().train.rows(), 1);
}

TEST(Prepare, OptionsThatCannotBeMetAreNamedAtOnce) {
  DataOptions options;
  options.cutoff_len = 1;
  options.val_size = 2.5;
  options.eval_datasets = {{"x", {}, "", 1, {}, {}}};
  options.bad_rows = BadRows::drop;
  EXPECT_EQ(complaints(options).size(), 5U);
  EXPECT_TRUE(complaints(Work("a.txt", "abc").options).empty());
}

TEST(Prepare, HeldOutDocumentsAreChosenBySeedAndNotTrained) {
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

TEST(Prepare, OfFewDocumentsPiecesAreHeldOut) {
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

TEST(Prepare, FewRowsWithPromptsAreHeldOutWhole) {
  std::string lines;
  for (int i = 0; i < 10; ++i) lines += fmt::format("{{\"prompt\": \"question {}\", \"completion\": \"answer\"}}\n", i);
  Work work("a.jsonl", lines);
  work.options.rules.stage = DataStage::sft;
  work.options.cutoff_len = 30;
  work.options.val_size = 0.3;
  EXPECT_EQ(work.run().eval->rows(), 3);
}

TEST(Prepare, AnotherDatasetCanBeHeldOut) {
  Work work("a.jsonl", texts(30, 1, 10));
  work.options.eval_datasets = {{work.add("b.jsonl", "{\"text\": \"held out\"}\n"), {}, "", 1, {}, {}}};
  const Prepared prepared = work.run();
  EXPECT_EQ(prepared.train.rows(), 30);
  EXPECT_EQ(rows_of(*prepared.eval).tokens, (std::vector<Ids>{document_ids("held out")}));
  EXPECT_EQ(prepared.counts.read_eval[0].counts.documents, 1);
  EXPECT_NE(prepared.counts.store, prepared.counts.eval_store);
}

TEST(Prepare, AnyNumberOfPartsSeesTheSameRows) {
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

TEST(Prepare, ARefusalIsTheSameOnAllParts) {
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

TEST(Prepare, CountsCanBeReadByProgramsAndPeople) {
  Work work("a.jsonl", texts(30, 1, 10));
  work.options.packing = Packing::bfd;
  const Prepared prepared = work.run();
  const auto json = nlohmann::json::parse(prepared.counts.json());
  EXPECT_EQ(json["datasets"][0]["documents"], 30);
  EXPECT_EQ(json["train"]["tokens"], prepared.train.tokens());
  EXPECT_NEAR(json["train"]["fill"].get<double>(),
              static_cast<double>(prepared.train.tokens()) / static_cast<double>(prepared.train.rows() * 16), 1e-12);
  EXPECT_THAT(prepared.counts.text(),
              testing::AllOf(HasSubstr("1 files (text 1), 30 rows, 30 documents"), HasSubstr("% filled")));
}

TEST(Prepare, IdsOutsideTheVocabularyNeverReachTheModel) {
  Work work("a.jsonl", "{\"input_ids\": [5, 6, 7]}\n");
  work.options.vocabulary = 8;
  const Prepared prepared = work.run();
  const Dataset narrow(std::make_shared<const TokenStore>(prepared.counts.store),
                       pack(std::vector<Piece>{{0, 0, 3, false}}, Packing::none, 8), 7);
  EXPECT_THAT(error_of(Kind::data, [&] { narrow.row(0); }), HasSubstr("outside the vocabulary"));
}

}  // namespace
}  // namespace hearth::test
