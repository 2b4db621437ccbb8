#include "data/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "data_test/support.h"

namespace hearth::test {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// "FILE:LINE" of each entry of a side file.
std::vector<std::string> places_in(const std::string& side) {
  std::vector<std::string> places;
  std::istringstream lines(side);
  for (std::string line; std::getline(lines, line);) {
    const auto entry = nlohmann::json::parse(line);
    places.push_back(fmt::format("{}:{}", Path(entry.at("file").get<std::string>()).filename().string(),
                                 entry.at("line").get<std::int64_t>()));
  }
  return places;
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
  EXPECT_THAT(work.run().counts.remarks, ElementsAre());
  work.encoder.last = {};
  EXPECT_THAT(work.refused(Kind::data), HasSubstr("end token"));
}

TEST(Prepare, WhereThereAreNoPairsTrainingPromptsIsAnsweredInWords) {
  Work work("a.txt", "abc");
  work.options.rules.train_prompt = true;
  EXPECT_THAT(work.run().counts.remarks, ElementsAre(HasSubstr("documents of text are trained whole")));
  work.use(work.add("b.jsonl", "{\"input_ids\": [5, 6], \"labels\": [5, 6]}\n"));
  EXPECT_THAT(work.run().counts.remarks, ElementsAre(HasSubstr("rows say themselves which tokens are trained")));
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
              testing::AllOf(HasSubstr("1 row cannot be used"), HasSubstr("a.jsonl, line 1: no trained token"),
                             HasSubstr("bad_rows: drop")));
  work.options.bad_rows = BadRows::drop;
  work.options.bad_rows_limit = 1;
  const Prepared prepared = work.run();
  EXPECT_EQ(prepared.train.rows(), 1);
  EXPECT_EQ(prepared.counts.train.dropped.at("no trained token").rows, 1);
  // "truncated", and then dropped: both with their place.
  EXPECT_EQ(places_in(work.side()), (std::vector<std::string>{"a.jsonl:1", "a.jsonl:1"}));
  EXPECT_THAT(work.side(), HasSubstr("no trained token"));
}

TEST(Prepare, RowsWithoutAnyTrainedLabelAreRefused) {
  Work work("a.jsonl",
            "{\"input_ids\": [5, 6], \"labels\": [-100, -100]}\n{\"input_ids\": [7]}\n{\"input_ids\": [7, 8], "
            "\"labels\": [7, -100]}\n{\"input_ids\": [7, 8]}\n");
  EXPECT_THAT(
      work.refused(Kind::data),
      testing::AllOf(HasSubstr("a.jsonl, line 1: no trained token"), HasSubstr("a.jsonl, line 2: no trained token"),
                     HasSubstr("a.jsonl, line 3: no trained token"), Not(HasSubstr("line 4"))));
  EXPECT_EQ(places_in(work.side()), (std::vector<std::string>{"a.jsonl:1", "a.jsonl:2", "a.jsonl:3"}));
  // In two files, some held out: still every one of them by its place.
  Work two("d/a.jsonl", "{\"input_ids\": [5, 6]}\n{\"input_ids\": [7]}\n");
  two.add("d/b.jsonl",
          "{\"input_ids\": [5, 6]}\n\n{\"input_ids\": [5, 6]}\n{\"input_ids\": [7]}\n{\"input_ids\": [8]}\n");
  two.use((two.folder.path() / "data/d").string());
  two.options.val_size = 2;
  EXPECT_THAT(
      two.refused(Kind::data),
      testing::AllOf(HasSubstr("3 rows cannot be used"), HasSubstr("a.jsonl, line 2: no trained token"),
                     HasSubstr("b.jsonl, line 4: no trained token"), HasSubstr("b.jsonl, line 5: no trained token")));
  EXPECT_THAT(places_in(two.side()), testing::UnorderedElementsAre("a.jsonl:2", "b.jsonl:4", "b.jsonl:5"));
}

/// At every point where it asks whether to go on, in reading and in tokenising: nothing half-made stays.
TEST(Prepare, EndsWhereverItIsAskedTo) {
  Work work("d/a.jsonl", "{\"text\": \"abc\"}\n{\"text\": \"def\"}\n{\"text\": \"ghi\"}\n");
  work.add("d/b.txt", "some text");
  work.use((work.folder.path() / "data/d").string());
  std::atomic<int> calls = 0;
  const auto run = [&](const std::string& cache, int most) {
    work.options.cache_dir = work.folder.path() / cache;
    calls = 0;
    Together together;
    together.check = [&] {
      if (calls++ == most) fail(Kind::preempted, "asked to end");
    };
    prepare(work.options, &work.encoder, together);
  };
  run("whole", -1);
  const int total = calls;
  EXPECT_GE(total, 2 + 4) << "each file when it is read, each row when it is tokenised";
  for (int at = 0; at < total; ++at) {
    const std::string cache = fmt::format("cache{}", at);
    EXPECT_EQ(error_of(Kind::preempted, [&] { run(cache, at); }), "asked to end") << at;
    const Path folder = work.folder.path() / cache;
    EXPECT_TRUE(!std::filesystem::exists(folder) || std::filesystem::is_empty(folder)) << at;
  }
}

TEST(Prepare, ACorpusWithNothingInItSaysWhatWasLookedAt) {
  Work empty("d/a.jsonl", "");
  empty.add("d/b.jsonl", "");
  empty.add("d/notes.pdf.bak", "x");
  empty.use((empty.folder.path() / "data/d").string());
  EXPECT_THAT(empty.refused(Kind::data),
              testing::AllOf(HasSubstr("the corpus is empty"), HasSubstr("/d: 2 files, all of them empty"),
                             HasSubstr("1 file not read (.bak)"), HasSubstr("name others in datasets")));
  Work texts("d/a.txt", "");
  texts.add("d/b.jsonl", "{\"text\": \"\"}\n");
  texts.use((texts.folder.path() / "data/d").string());
  EXPECT_THAT(texts.refused(Kind::data),
              testing::AllOf(HasSubstr("the corpus is empty"), HasSubstr("2 bad rows (empty row)"),
                             Not(HasSubstr("bad_rows: drop"))));
  Work blank("a.jsonl", "\n  \n\n");
  EXPECT_THAT(blank.refused(Kind::data),
              testing::AllOf(HasSubstr("a.jsonl: 1 file, 5 bytes, 3 blank lines"), HasSubstr("the corpus is empty")));
  Work bad("a.jsonl", "{\"text\": \"\"}\n{\"text\": 5}\n{\"text\": \"\"}\n");
  bad.options.bad_rows = BadRows::drop;
  bad.options.bad_rows_limit = 3;
  EXPECT_THAT(bad.refused(Kind::data),
              testing::AllOf(HasSubstr("2 bad rows (empty row)"), HasSubstr("1 bad row (column of another kind)"),
                             HasSubstr("left_out_rows.jsonl")));
}

TEST(Prepare, WhereEveryRowIsDroppedItSaysWhy) {
  Work work("a.jsonl", "{\"input_ids\": [5, 6, 7, 8]}\n{\"input_ids\": [7]}\n{\"input_ids\": [5, 6, 7]}\n");
  work.options.cutoff_len = 2;
  work.options.overflow = Overflow::drop;
  work.options.bad_rows = BadRows::drop;
  work.options.bad_rows_limit = 1;
  EXPECT_THAT(work.refused(Kind::data),
              testing::AllOf(HasSubstr("no row is left for training: of 3 documents every one was left out"),
                             HasSubstr("2 rows: longer than cutoff_len; raise cutoff_len"),
                             HasSubstr("1 row: no trained token; a row needs"), HasSubstr("left_out_rows.jsonl")));
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
  EXPECT_THAT(work.refused(Kind::data), testing::AllOf(HasSubstr("a.txt: not UTF-8: line 2, byte offset 9")));
}

TEST(Prepare, EmptyAndTooShortCorporaAreRefused) {
  Work empty("a.jsonl", "\n\n");
  EXPECT_THAT(empty.refused(Kind::data), HasSubstr("the corpus is empty"));
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
              testing::AllOf(HasSubstr("files 1 (text 1), rows 30, documents 30"), HasSubstr("% filled")));
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
