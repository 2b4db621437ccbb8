// Parts of one job: one error for all, and work on files that is done once by those who see the same files.
#include "data/together.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <mutex>

#include "base/random.h"
#include "data/store_writer.h"
#include "data_test/support.h"

namespace hearth::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

/// Bytes that this process has read with read() and its like since it began.
std::uint64_t bytes_read() {
  std::ifstream file("/proc/self/io");
  std::string word;
  std::uint64_t bytes = 0;
  while (file >> word) {
    if (word == "rchar:") file >> bytes;
  }
  return bytes;
}

std::vector<std::string> described(const Sources& sources) {
  std::vector<std::string> lines;
  for (const SourceFile& file : sources.files) {
    lines.push_back(fmt::format("{} {} {} {} {} {} {}", file.path.string(), file.dataset,
                                static_cast<int>(file.container), name_of(file.format), file.bytes, file.sha384,
                                file.byte_order_mark));
  }
  for (const SourceNotes& notes : sources.notes) lines.push_back(std::to_string(notes.beyond_max_samples));
  return lines;
}

/// Bytes that are not alike.
std::string noise(std::size_t size, std::uint64_t seed) {
  std::string text(size, 'x');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + Key(seed).below(26, i));
  return text;
}

TEST(Together, AnErrorIsThatOfTheFirstPartThatFails) {
  as_parts(3, [](const Together& together) { all_or_none(together, [] {}); });
  for (const auto& [failing, speaker] :
       {std::pair("0", 0), std::pair("12", 1), std::pair("2", 2), std::pair("012", 0)}) {
    const std::string who = failing;
    try {
      as_parts(3, [&](const Together& together) {
        all_or_none(together, [&] {
          const std::string name = std::to_string(together.part);
          if (who.find(name) != std::string::npos) fail(Kind::storage, "disk {} is full\nof zeros", name);
        });
      });
      ADD_FAILURE() << who;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Kind::storage);
      EXPECT_EQ(error.text(), fmt::format("disk {} is full\nof zeros", speaker));
      EXPECT_EQ(error.speaker(), speaker);
    }
  }
}

TEST(Together, WhatIsNoErrorOfHearthIsADefect) {
  EXPECT_THAT(error_of(Kind::internal,
                       [] {
                         as_parts(2, [](const Together& together) {
                           all_or_none(together, [] { throw std::out_of_range("vector"); });
                         });
                       }),
              AllOf(HasSubstr("internal error: vector"), HasSubstr("please report this")));
  EXPECT_THAT(error_of(Kind::machine,
                       [] { as_parts(2, [](const Together& t) { all_or_none(t, [] { throw std::bad_alloc(); }); }); }),
              HasSubstr("out of memory"));
}

class SharedFiles : public testing::Test {
 protected:
  SharedFiles() {
    for (int i = 0; i < 5; ++i) {
      put(folder_.path() / "d" / fmt::format("{}.txt", i),
          noise(std::size_t{1} << (18 + i % 3), 7 + static_cast<unsigned>(i)));
    }
    put(folder_.path() / "d/rows.jsonl", "\xef\xbb\xbf{\"text\": \"a\"}\n{\"text\": \"b\"}");
    put(folder_.path() / "d/empty.jsonl", "");
    put(folder_.path() / "d/z.jsonl.zst", compressed(texts(40, 3, 60)));
    for (const auto& entry : fs::directory_iterator(folder_.path() / "d")) size_ += fs::file_size(entry.path());
  }
  std::vector<DatasetSource> datasets() const {
    const std::string all = (folder_.path() / "d").string();
    return {{all, {}, "", 1, {}, {}},
            {all + "/*.jsonl*", {}, "", 1, 7, {}},  // reaches into the third of three
            {all + "/z.jsonl.zst", {}, "", 1, {}, {}}};
  }

  Folder folder_;
  std::uint64_t size_ = 0;
};

TEST_F(SharedFiles, AreTheSameForAnyNumberOfPartsAndHosts) {
  const std::vector<std::string> alone = described(find_sources(datasets()));
  ASSERT_EQ(alone.size(), 8U + 3U + 1U + 3U);
  for (const auto& [parts, hosts] :
       {std::pair(2, 1), std::pair(3, 1), std::pair(3, 2), std::pair(4, 4), std::pair(9, 2)}) {
    as_parts(
        parts, [&](const Together& together) { EXPECT_EQ(described(find_sources(datasets(), together)), alone); },
        hosts);
  }
}

TEST_F(SharedFiles, AreReadOnceAHost) {
  const std::vector<DatasetSource> all = {datasets()[0]};
  const auto read_by = [&](int parts, int hosts) {
    const std::uint64_t before = bytes_read();
    as_parts(
        parts, [&](const Together& together) { find_sources(all, together); }, hosts);
    return static_cast<double>(bytes_read() - before) / static_cast<double>(size_);
  };
  // A little more than once: the formats of rows and byte order marks are looked at beforehand.
  EXPECT_LT(read_by(1, 1), 1.2);
  EXPECT_LT(read_by(4, 1), 1.2);
  EXPECT_GT(read_by(4, 2), 2.0);
  EXPECT_LT(read_by(4, 2), 2.4);
}

TEST_F(SharedFiles, AnErrorInOneOfThemReachesAll) {
  put(folder_.path() / "d/bad.jsonl", "{\"txt\": \"a\"}\n");
  for (const int hosts : {1, 3}) {
    EXPECT_THAT(error_of(Kind::data,
                         [&] {
                           as_parts(
                               3, [&](const Together& together) { find_sources(datasets(), together); }, hosts);
                         }),
                AllOf(HasSubstr("bad.jsonl, line 1"), HasSubstr("fit no known format")));
  }
}

TEST_F(SharedFiles, HostsThatSeeOthersAreFound) {
  put(folder_.path() / "e/0.txt", noise(100, 1));
  put(folder_.path() / "f/0.txt", noise(100, 2));
  const auto seen = [&](const char* by_last) {
    return [this, by_last](const Together& together) {
      const bool last = together.part + 1 == together.parts;
      find_sources({{(folder_.path() / (last ? by_last : "e")).string(), {}, "", 1, {}, {}}}, together);
    };
  };
  as_parts(3, seen("e"), 3);
  EXPECT_THAT(error_of(Kind::data, [&] { as_parts(3, seen("f"), 3); }),
              HasSubstr("rank 2 does not read the same files as rank 0"));
}

TEST_F(SharedFiles, AStoreIsComparedOnceAHostAndEveryFileOfIt) {
  const Sources sources = find_sources({datasets()[0]});
  const ByteEncoder encoder;
  const StoreRequest request = {&sources, &encoder, {}, 300};
  const Path cache = folder_.path() / "cache";
  Path store;
  const auto open = [&](int parts, int hosts) {
    const std::uint64_t before = bytes_read();
    as_parts(
        parts,
        [&](const Together& together) {
          const auto opened = open_or_build_store(cache, request, together);
          if (together.part == 0) store = opened->folder();
        },
        hosts);
    return static_cast<double>(bytes_read() - before);
  };
  open(3, 1);
  std::uint64_t size = 0;
  std::vector<Path> files;
  for (const auto& entry : fs::directory_iterator(store)) {
    files.push_back(entry.path());
    size += fs::file_size(entry.path());
  }
  ASSERT_EQ(files.size(), 7U);
  // Besides, each part reads the index and the counts.
  EXPECT_LT(open(1, 1), 1.2 * static_cast<double>(size));
  EXPECT_LT(open(4, 1), 1.2 * static_cast<double>(size));
  EXPECT_GT(open(4, 4), 3.9 * static_cast<double>(size));
  for (const Path& file : files) {
    const std::string before = read_text(file);
    if (before.empty()) continue;
    std::string broken = before;
    broken[broken.size() / 2] = static_cast<char>(broken[broken.size() / 2] ^ 1);
    put(file, broken);
    for (const int parts : {1, 2, 5}) {
      EXPECT_THAT(error_of(Kind::integrity, [&, n = parts] { open(n, 1); }),
                  HasSubstr((file.filename() == "MANIFEST.json" ? store : file).string()))
          << parts;
    }
    put(file, before);
  }
  open(2, 1);
}

}  // namespace
}  // namespace hearth::test
