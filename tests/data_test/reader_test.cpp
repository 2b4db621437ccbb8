#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/corpus.h"
#include "data_test/support.h"

namespace hearth::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

DatasetSource dataset(const std::string& path) {
  return {path, {}, "", 1, {}, {}};
}

struct Seen {
  std::vector<std::string> rows;        // text, or prompt + "|" + completion, or ids
  std::vector<std::string> complaints;  // "file:line reason: detail"
  std::vector<WalkCounts> counts;
};

Seen walk(const Sources& sources, int part = 0, int parts = 1, std::int64_t vocabulary = 0) {
  Seen seen;
  seen.counts = walk_rows(
      sources, part, parts, vocabulary, [&](const RowPlace& place, RawRow& row, std::optional<Complaint>& complaint) {
        if (complaint) {
          seen.complaints.push_back(
              fmt::format("{}:{} {}: {}", place.file, place.line, complaint->reason, complaint->detail));
        } else if (row.format == Format::text) {
          seen.rows.push_back(row.text);
        } else if (row.format == Format::prompt_completion) {
          seen.rows.push_back(row.prompt + "|" + row.completion);
        } else {
          seen.rows.push_back(fmt::format("{} {}", fmt::join(row.ids, ","), fmt::join(row.labels, ",")));
        }
      });
  return seen;
}

Seen walk_file(const std::string& path, const Columns& columns = {}, std::int64_t vocabulary = 0) {
  DatasetSource source = dataset(path);
  source.columns = columns;
  return walk(find_sources({source}), 0, 1, vocabulary);
}

TEST(Reader, ATextFileIsOneDocumentWithItsLineEnds) {
  const Folder folder;
  EXPECT_THAT(walk_file(put(folder.path() / "a.txt", "one\r\ntwo\n")).rows, ElementsAre("one\r\ntwo\n"));
  EXPECT_THAT(walk_file(put(folder.path() / "b.md", "# x\n")).rows, ElementsAre("# x\n"));
}

TEST(Reader, AByteOrderMarkIsTakenOffAndNoted) {
  const Folder folder;
  put(folder.path() / "d" / "a.txt", "\xef\xbb\xbfhello");
  put(folder.path() / "d" / "b.jsonl", "\xef\xbb\xbf{\"text\": \"there\"}\n");
  put(folder.path() / "d" / "c.txt", "\xef\xbb");
  const Sources sources = find_sources({dataset((folder.path() / "d").string())});
  EXPECT_TRUE(sources.files[0].byte_order_mark);
  EXPECT_TRUE(sources.files[1].byte_order_mark);
  EXPECT_FALSE(sources.files[2].byte_order_mark);
  const Seen seen = walk(sources);
  EXPECT_THAT(seen.rows, ElementsAre("hello", "there"));
  EXPECT_THAT(seen.complaints, ElementsAre(HasSubstr("not UTF-8: line 1, byte offset 0")));
}

TEST(Reader, TextThatIsNotUtf8NamesLineAndByte) {
  const Folder folder;
  const Seen text = walk_file(put(folder.path() / "a.txt", "fine\nbad \xe4 here\n"));
  EXPECT_THAT(text.complaints, ElementsAre(HasSubstr("0:1 not UTF-8: line 2, byte offset 9 of the file (0xe4)")));
  const Seen rows = walk_file(put(folder.path() / "a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n"));
  EXPECT_THAT(rows.complaints, ElementsAre(HasSubstr("0:2 not UTF-8: line 2, byte offset 24 of the file (0xff)")));
  const Seen wide = walk_file(put(folder.path() / "w.txt", std::string_view("\xff\xfeh\0i\0", 6)));
  EXPECT_THAT(wide.complaints, ElementsAre(HasSubstr("UTF-16")));
}

TEST(Reader, TheThreeFormatsAreDetected) {
  const Folder folder;
  EXPECT_THAT(
      walk_file(put(folder.path() / "t.jsonl", "{\"text\": \"a\\u00e9\\n\"}\n\n  \n{\"document\": \"b\", \"id\": 3}\n"))
          .rows,
      ElementsAre("a\xc3\xa9\n", "b"));
  EXPECT_THAT(walk_file(put(folder.path() / "p.jsonl", "{\"prompt\": \"q\", \"completion\": \" a\"}")).rows,
              ElementsAre("q| a"));
  EXPECT_THAT(
      walk_file(
          put(folder.path() / "i.jsonl",
              "{\"input_ids\": [1, 15], \"labels\": [-100, 7], \"attention_mask\": [1, 1]}\n{\"input_ids\": [4]}"))
          .rows,
      ElementsAre("1,15 -100,7", "4 "));
  EXPECT_THAT(walk_file(put(folder.path() / "z.jsonl.zst", compressed("{\"text\": \"zip\"}\n"))).rows,
              ElementsAre("zip"));
}

TEST(Reader, UnknownColumnsAndBlankLinesAreCounted) {
  const Folder folder;
  const Seen seen = walk_file(
      put(folder.path() / "t.jsonl",
          "{\"text\": \"a\", \"id\": 1}\n\n{\"text\": \"b\", \"id\": 2, \"url\": null}\n{\"text\": \"c\"}\n \r\n"));
  EXPECT_EQ(seen.counts[0].unknown_columns, (std::map<std::string, std::int64_t>{{"id", 2}, {"url", 1}}));
  EXPECT_EQ(seen.counts[0].blank_lines, 2);
}

TEST(Reader, ColumnsAreRenamed) {
  const Folder folder;
  const std::string path =
      put(folder.path() / "q.jsonl",
          "{\"question\": \"q\", \"answer\": \"a\", \"prompt\": \"other\"}\n{\"question\": \"q2\"}\n");
  const Seen seen = walk_file(path, {{"prompt", "question"}, {"response", "answer"}});
  EXPECT_THAT(seen.rows, ElementsAre("q|a"));
  EXPECT_THAT(seen.complaints, ElementsAre(HasSubstr("0:2 column missing: no `completion`")));
  EXPECT_EQ(seen.counts[0].unknown_columns, (std::map<std::string, std::int64_t>{{"prompt", 1}}));
  EXPECT_THAT(error_of(Kind::usage,
                       [&] {
                         walk_file(path, {{"promt", "question"}});
                       }),
              HasSubstr("unknown column `promt`"));
  EXPECT_THAT(error_of(Kind::usage, [&] { walk_file(path, {{"history", "h"}}); }), HasSubstr("not there yet"));
  EXPECT_THAT(error_of(Kind::usage,
                       [&] {
                         walk_file(path, {{"prompt", "x"}, {"completion", "x"}});
                       }),
              HasSubstr("used twice"));
  EXPECT_THAT(error_of(Kind::data,
                       [&] {
                         walk_file(path.substr(0, path.size()));
                         walk_file(put(folder.path() / "n.jsonl", "{\"question\": 1}"));
                       }),
              HasSubstr("`question`"));
}

TEST(Reader, BadRowsSayWhereAndWhy) {
  const Folder folder;
  const Seen seen = walk_file(put(folder.path() / "b.jsonl",
                                  "{\"text\": \"good\"}\n"
                                  "{\"text\": \"cut\n"
                                  "[1, 2]\n"
                                  "{\"txt\": \"a\"}\n"
                                  "{\"text\": 5}\n"
                                  "{\"text\": null}\n"
                                  "{\"text\": \"a\", \"text\": \"b\"}\n"
                                  "{\"text\": \"a\", \"document\": \"b\"}\n"
                                  "{\"text\": \"\\ud800\"}\n"));
  EXPECT_THAT(seen.rows, ElementsAre("good"));
  EXPECT_THAT(seen.complaints, ElementsAre(HasSubstr("0:2 not JSON"), HasSubstr("0:3 not a JSON object"),
                                           HasSubstr("0:4 column missing"), HasSubstr("0:5 column of another kind"),
                                           HasSubstr("0:6 column missing"), HasSubstr("0:7 column twice"),
                                           HasSubstr("0:8 column twice"), HasSubstr("0:9 not JSON")));
}

TEST(Reader, IdsAreChecked) {
  const Folder folder;
  const Seen seen = walk_file(put(folder.path() / "b.jsonl",
                                  "{\"input_ids\": [1, 99]}\n"
                                  "{\"input_ids\": [1, 100]}\n"
                                  "{\"input_ids\": [-1]}\n"
                                  "{\"input_ids\": [1.5]}\n"
                                  "{\"input_ids\": [4294967296]}\n"
                                  "{\"input_ids\": [1, 2], \"labels\": [1]}\n"
                                  "{\"input_ids\": [1, 2], \"labels\": [1, -1]}\n"
                                  "{\"input_ids\": [1, 2], \"labels\": [1, 100]}\n"
                                  "{\"input_ids\": [1, 2], \"attention_mask\": [1, 0]}\n"
                                  "{\"input_ids\": \"1 2\"}\n"),
                              {}, 100);
  EXPECT_THAT(seen.rows, ElementsAre("1,99 "));
  EXPECT_THAT(
      seen.complaints,
      ElementsAre(HasSubstr("id out of range: `input_ids` at position 1 is 100"), HasSubstr("position 0 is -1"),
                  HasSubstr("not a 32-bit integer"), HasSubstr("not a 32-bit integer"), HasSubstr("lengths differ"),
                  HasSubstr("`labels` at position 1 is -1"), HasSubstr("`labels` at position 1 is 100"),
                  HasSubstr("padded row"), HasSubstr("not a list of integers")));
}

TEST(Reader, FormatsThatAreNotThereYetAreRefusedByName) {
  const Folder folder;
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"alpaca", R"({"instruction": "a", "output": "b"})"},
      {"sharegpt", R"({"conversations": []})"},
      {"messages", R"({"messages": []})"},
      {"preference", R"({"prompt": "a", "chosen": "b", "rejected": "c"})"},
      {"unpaired", R"({"kto_tag": true})"},
      {"stepwise", R"({"prompt": "a", "completions": [], "labels": []})"}};
  for (const auto& [name, row] : rows) {
    const std::string path = put(folder.path() / (name + ".jsonl"), row);
    EXPECT_THAT(error_of(Kind::usage, [&] { find_sources({dataset(path)}); }),
                testing::AllOf(HasSubstr(name + " is recognised"), HasSubstr(path)));
  }
  for (const std::string ending : {"json", "csv", "parquet", "arrow"}) {
    const std::string path = put(folder.path() / ("x." + ending), "a,b\n");
    EXPECT_THAT(error_of(Kind::usage, [&] { find_sources({dataset(path)}); }), HasSubstr(ending + " is recognised"));
  }
  DatasetSource named = dataset(put(folder.path() / "t.jsonl", "{\"text\": \"a\"}"));
  named.format = Format::messages;
  EXPECT_THAT(error_of(Kind::usage, [&] { find_sources({named}); }), HasSubstr("messages is recognised"));
}

TEST(Reader, TwoFormatsThatFitAreNamedBoth) {
  const Folder folder;
  DatasetSource source =
      dataset(put(folder.path() / "a.jsonl", "{\"text\": \"a\", \"prompt\": \"b\", \"completion\": \"c\"}\n"));
  EXPECT_THAT(error_of(Kind::usage, [&] { find_sources({source}); }),
              testing::AllOf(HasSubstr("text and prompt_completion"), HasSubstr("line 1"), HasSubstr("format:")));
  source.format = Format::prompt_completion;
  EXPECT_THAT(walk(find_sources({source})).rows, ElementsAre("b|c"));
}

TEST(Reader, WhatFitsNothingIsRefusedWithItsColumns) {
  const Folder folder;
  const std::string path = put(folder.path() / "a.jsonl", "not json\n{\"question\": \"a\", \"answer\": \"c\"}\n");
  EXPECT_THAT(error_of(Kind::data, [&] { find_sources({dataset(path)}); }),
              testing::AllOf(HasSubstr("line 2"), HasSubstr("`question`, `answer`"), HasSubstr("columns:")));
  DatasetSource mapped = dataset(path);
  mapped.columns = {{"prompt", "question"}, {"completion", "reply"}};
  EXPECT_THAT(error_of(Kind::data, [&] { find_sources({mapped}); }),
              testing::AllOf(HasSubstr("line 2"), HasSubstr("takes completion from `reply`, but the row has"),
                             HasSubstr("`question`, `answer`"), testing::Not(HasSubstr("takes prompt"))));
  put(path, "\n{\"text\": \"a \\ud800 b\"}\n");
  EXPECT_THAT(error_of(Kind::data, [&] { find_sources({dataset(path)}); }),
              testing::AllOf(HasSubstr("line 2: not JSON"), HasSubstr("\\ud800 alone")));
  put(path, "not json\nat all\n");
  EXPECT_THAT(error_of(Kind::data, [&] { find_sources({dataset(path)}); }), HasSubstr("none of the first 2 lines"));
}

TEST(Reader, FoldersAreReadInOrderOfPathAndTheRestIsCounted) {
  const Folder folder;
  const Path root = folder.path() / "corpus";
  put(root / "b.txt", "B");
  put(root / "a" / "z.md", "AZ");
  put(root / "a" / "c.jsonl", "{\"text\": \"AC\"}");
  put(root / "picture.png", "x");
  put(root / "README", "x");
  const Sources sources = find_sources({dataset(root.string())});
  EXPECT_THAT(walk(sources).rows, ElementsAre("AC", "AZ", "B"));
  EXPECT_EQ(sources.notes[0].skipped, (std::map<std::string, std::int64_t>{{".png", 1}, {"no ending", 1}}));
  put(root / "table.csv", "x");
  EXPECT_THAT(error_of(Kind::usage, [&] { find_sources({dataset(root.string())}); }), HasSubstr("csv is recognised"));
}

/// What programs keep for themselves beside the data; a name that somebody wrote is meant.
TEST(Reader, HiddenFilesAndFoldersOfAFolderAreCountedAndLeft) {
  const Folder folder;
  const Path root = folder.path() / ".corpus";
  put(root / "a.txt", "A");
  put(root / ".b.txt", "B");
  put(root / ".git" / "c.txt", "C");
  put(root / "d" / ".ipynb_checkpoints" / "d.jsonl", "{\"text\": \"D\"}");
  put(root / ".table.csv", "x");
  const Sources sources = find_sources({dataset(root.string())});
  EXPECT_THAT(walk(sources).rows, ElementsAre("A"));
  EXPECT_EQ(sources.notes[0].skipped, (std::map<std::string, std::int64_t>{{"hidden file", 2}, {"hidden folder", 2}}));
  EXPECT_THAT(walk(find_sources({dataset((root / ".b.txt").string())})).rows, ElementsAre("B"));
  EXPECT_THAT(walk(find_sources({dataset((root / ".*.txt").string())})).rows, ElementsAre("B"));
  EXPECT_THAT(walk(find_sources({dataset((root / "*.txt").string())})).rows, ElementsAre("A"));
  EXPECT_THAT(walk(find_sources({dataset((root / ".git").string())})).rows, ElementsAre("C"));
  DatasetSource split = dataset(root.string());
  split.split = "train";
  EXPECT_THAT(error_of(Kind::data, [&] { find_sources({split}); }),
              testing::AllOf(HasSubstr("2 x hidden file"), HasSubstr("2 x hidden folder")));
}

TEST(Reader, PatternsSplitsAndMissingPaths) {
  const Folder folder;
  for (const char* name : {"train-1.txt", "train-0.txt", "test.txt"}) put(folder.path() / "d" / name, name);
  const std::string root = (folder.path() / "d").string();
  EXPECT_THAT(walk(find_sources({dataset(root + "/train-*.txt")})).rows, ElementsAre("train-0.txt", "train-1.txt"));
  DatasetSource split = dataset(root);
  split.split = "test";
  const Sources sources = find_sources({split});
  EXPECT_THAT(walk(sources).rows, ElementsAre("test.txt"));
  EXPECT_EQ(sources.notes[0].skipped.at("other split"), 2);
  split.split = "validation";
  EXPECT_THAT(error_of(Kind::data, [&] { find_sources({split}); }), HasSubstr("split validation"));
  split.path = root + "/test.txt";
  EXPECT_THAT(error_of(Kind::usage, [&] { find_sources({split}); }), HasSubstr("split `validation`"));
  EXPECT_THAT(error_of(Kind::data, [&] { find_sources({dataset(root + "/absent.txt")}); }),
              HasSubstr("does not exist"));
  EXPECT_THAT(error_of(Kind::usage, [&] { find_sources({dataset(root + "/**/a.txt")}); }), HasSubstr("**"));
  EXPECT_THAT(error_of(Kind::data, [&] { find_sources({dataset(put(folder.path() / "x.pdf", "x"))}); }),
              HasSubstr("does not end in one of"));
  DatasetSource weighted = dataset(root);
  weighted.weight = 0.5;
  EXPECT_THAT(error_of(Kind::usage, [&] { find_sources({weighted}); }), HasSubstr("weight 0.5"));
}

TEST(Reader, MaxSamplesTakesTheFirstRowsOfTheDataset) {
  const Folder folder;
  put(folder.path() / "d" / "a.jsonl", "{\"text\": \"1\"}\n\n{\"text\": \"2\"}\n");
  put(folder.path() / "d" / "b.txt", "3");
  put(folder.path() / "d" / "c.jsonl", "{\"text\": \"4\"}\n{\"text\": \"5\"}\n");
  put(folder.path() / "d" / "d.txt", "6");
  DatasetSource source = dataset((folder.path() / "d").string());
  const std::vector<std::string> all = {"1", "2", "3", "4", "5", "6"};
  for (std::int64_t most = 1; most <= 7; ++most) {
    source.max_samples = most;
    const Sources sources = find_sources({source});
    const std::vector<std::string> first(all.begin(), all.begin() + std::min<std::int64_t>(most, 6));
    EXPECT_EQ(walk(sources).rows, first) << most;
  }
  source.max_samples = 2;
  EXPECT_EQ(find_sources({source}).notes[0].beyond_max_samples, 3);
  source.max_samples = 0;
  EXPECT_THAT(error_of(Kind::usage, [&] { find_sources({source}); }), HasSubstr("max_samples"));
}

TEST(Reader, PartsCoverAllRowsOnceAndInOrder) {
  const Folder folder;
  std::string lines;
  for (int i = 0; i < 57; ++i)
    lines += fmt::format("{{\"text\": \"row {} {}\"}}\n", i, std::string(static_cast<std::size_t>(i * 7 % 31), 'x'));
  put(folder.path() / "d" / "a.txt", "short");
  put(folder.path() / "d" / "b.jsonl", lines);
  put(folder.path() / "d" / "c.txt", "");
  put(folder.path() / "d" / "d.jsonl.zst", compressed(lines));
  put(folder.path() / "d" / "e.jsonl", "");
  put(folder.path() / "d" / "f.txt", "");
  const Sources sources = find_sources({dataset((folder.path() / "d").string())});
  const Seen whole = walk(sources);
  EXPECT_EQ(whole.rows.size(), 1U + 57 + 1 + 57 + 1);
  for (const int parts : {2, 3, 4, 7, 50}) {
    std::vector<std::string> rows;
    std::size_t most = 0;
    for (int part = 0; part < parts; ++part) {
      const Seen seen = walk(sources, part, parts);
      rows.insert(rows.end(), seen.rows.begin(), seen.rows.end());
      most = std::max(most, seen.rows.size());
    }
    EXPECT_EQ(rows, whole.rows) << parts;
    EXPECT_LE(most, 117 / static_cast<std::size_t>(parts) + 12);
  }
}

TEST(Reader, TextsForATokenizer) {
  const Folder folder;
  put(folder.path() / "d" / "a.txt", "A");
  put(folder.path() / "d" / "b.jsonl", "{\"prompt\": \"q\", \"completion\": \"a\"}\n");
  std::vector<std::string> texts;
  walk_texts(find_sources({dataset((folder.path() / "d").string())}),
             [&](std::string_view text) { texts.emplace_back(text); });
  EXPECT_THAT(texts, ElementsAre("A", "q", "a"));
  put(folder.path() / "d" / "b.jsonl", "{\"prompt\": \"q\", \"completion\": \"a\"}\n{\n");
  EXPECT_THAT(
      error_of(Kind::data,
               [&] { walk_texts(find_sources({dataset((folder.path() / "d").string())}), [](std::string_view) {}); }),
      HasSubstr("b.jsonl, line 2"));
}

}  // namespace
}  // namespace hearth::test
