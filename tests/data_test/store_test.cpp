#include "data/token_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/sha384.h"
#include "data/store_files.h"
#include "data/store_writer.h"
#include "data_test/support.h"

namespace hearth::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// A corpus of every format, with one bad row.
std::string corpus(const Path& folder) {
  const Path root = folder / "corpus";
  put(root / "a.txt", "A first document.\n");
  put(root / "b.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\", \"id\": 3}\n{\"txt\": 0}\n");
  put(root / "c.jsonl", "{\"prompt\": \"ask\", \"completion\": \"say\"}\n");
  put(root / "d.jsonl", "{\"input_ids\": [5, 6, 7, 8]}\n{\"input_ids\": [9, 10, 11], \"labels\": [-100, 10, 44]}\n");
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += fmt::format("{{\"text\": \"row {}\"}}\n", i);
  put(root / "e.jsonl.zst", compressed(lines));
  return root.string();
}

struct Content {
  std::vector<std::vector<std::int32_t>> tokens, labels;
  std::vector<std::int64_t> trained_from, file, line;
  bool operator==(const Content&) const = default;
};

template <class T>
std::vector<T> copy(std::span<const T> values) {
  return {values.begin(), values.end()};
}

Content content_of(const TokenStore& store) {
  Content content;
  for (std::int64_t d = 0; d < store.documents(); ++d) {
    content.tokens.push_back(copy(store.tokens(d)));
    content.labels.push_back(copy(store.labels(d)));
    content.trained_from.push_back(store.trained_from(d));
    content.file.push_back(store.file(d));
    content.line.push_back(store.line(d));
  }
  return content;
}

struct Built {
  Folder folder;
  Sources sources = find_sources({{corpus(folder.path()), {}, "", 1, {}, {}}});
  ByteEncoder encoder;
  Path cache = folder.path() / "cache";
  StoreRequest request = {&sources, &encoder, {}, 300};

  std::shared_ptr<const TokenStore> open(const Together& together = {}) {
    return open_or_build_store(cache, request, together);
  }
};

TEST(TokenStore, HoldsWhatTheRowsSay) {
  Built built;
  const auto store = built.open();
  const Content content = content_of(*store);
  ASSERT_EQ(store->documents(), 46);
  EXPECT_EQ(content.tokens[0], document_ids("A first document.\n"));
  EXPECT_EQ(content.tokens[2], document_ids("two"));
  EXPECT_EQ(content.tokens[3], document_ids("asksay"));
  EXPECT_EQ(content.trained_from[3], 4);
  EXPECT_THAT(content.tokens[4], ElementsAre(5, 6, 7, 8));
  EXPECT_THAT(content.tokens[5], ElementsAre(9, 10, 11));
  EXPECT_THAT(content.labels[5], ElementsAre(-1, 10, 44));
  EXPECT_TRUE(content.labels[4].empty());
  EXPECT_EQ(content.tokens[45], document_ids("row 39"));
  EXPECT_EQ(content.file[2], 1);
  EXPECT_EQ(content.line[2], 2);
  const DatasetCounts& counts = store->counts().at(0);
  EXPECT_EQ(counts.rows, 47);
  EXPECT_EQ(counts.documents, 46);
  EXPECT_EQ(counts.bad, (std::map<std::string, std::int64_t>{{"column missing", 1}}));
  EXPECT_EQ(counts.unknown_columns, (std::map<std::string, std::int64_t>{{"id", 1}, {"txt", 1}}));
  EXPECT_EQ(counts.tokens, store->tokens());
  const auto bad = store->first_bad_rows(5);
  ASSERT_EQ(bad.size(), 1U);
  EXPECT_EQ(bad[0].file, 1);
  EXPECT_EQ(bad[0].line, 3);
}

TEST(TokenStore, ASecondRunDoesNotTokeniseAgain) {
  Built built;
  const Content first = content_of(*built.open());
  const int calls = built.encoder.calls;
  EXPECT_GT(calls, 0);
  EXPECT_EQ(content_of(*built.open()), first);
  EXPECT_EQ(built.encoder.calls, calls);
}

TEST(TokenStore, TheKeyFollowsContentTokenizerAndOptions) {
  Built built;
  const std::string key = store_key(built.request);
  const auto changed = [&](auto change) {
    Built other;
    change(other);
    return store_key(other.request) != key;
  };
  EXPECT_FALSE(changed([](Built&) {}));  // another folder, the same content
  EXPECT_TRUE(changed([](Built& b) { b.encoder.name = "other"; }));
  EXPECT_TRUE(changed([](Built& b) { b.request.rules.stage = DataStage::sft; }));
  EXPECT_TRUE(changed([](Built& b) { b.request.vocabulary = 400; }));
  EXPECT_TRUE(changed([](Built& b) {
    put(b.folder.path() / "corpus" / "a.txt", "A first document!\n");
    b.sources = find_sources(b.sources.datasets);
  }));
}

TEST(TokenStore, AnyNumberOfPartsGivesTheSameContent) {
  Built one;
  const Content expected = content_of(*one.open());
  for (const int parts : {2, 3, 4, 9}) {
    Built built;
    std::vector<Content> seen(static_cast<std::size_t>(parts));
    as_parts(parts, [&](const Together& together) {
      const Sources sources = find_sources(built.sources.datasets);
      const StoreRequest request = {&sources, &built.encoder, {}, 300};
      seen[static_cast<std::size_t>(together.part)] = content_of(*open_or_build_store(built.cache, request, together));
    });
    for (const Content& content : seen) EXPECT_EQ(content, expected) << parts;
    EXPECT_EQ(std::distance(fs::directory_iterator(built.cache), fs::directory_iterator()), 1)
        << "nothing else is left there";
  }
}

TEST(TokenStore, ReadsInH5pyAsOneFile) {
  for (const int parts : {1, 3}) {
    Built built;
    std::shared_ptr<const TokenStore> store;
    as_parts(parts, [&](const Together& together) {
      const auto mine = built.open(together);
      if (together.part == 0) store = mine;
    });
    std::string expected;
    for (std::int64_t d = 0; d < store->documents(); ++d) {
      expected += fmt::format("{};{};{};{}\n", fmt::join(store->tokens(d), " "), fmt::join(store->labels(d), " "),
                              store->trained_from(d), store->line(d));
    }
    put(built.folder.path() / "expected", expected);
    const std::string script = fmt::format(
        "import h5py\n"
        "f = h5py.File('{}')\n"
        "assert f.attrs['version'] == 1 and f['tokens'].is_virtual and f['tokens'].dtype == 'int32'\n"
        "assert f.attrs['key'].decode() == '{}'\n"
        "t, l, ts, ls = f['tokens'][:], f['labels'][:], f['token_starts'][:], f['label_starts'][:]\n"
        "words = lambda a: ' '.join(map(str, a))\n"
        "text = ''.join('%s;%s;%d;%d\\n' % (words(t[ts[d]:ts[d+1]]), words(l[ls[d]:ls[d+1]]), f['trained_from'][d], "
        "f['line'][d]) for d in range(len(ts) - 1))\n"
        "assert text == open('{}').read(), text\n",
        (store->folder() / "index.h5").string(), store->key(), (built.folder.path() / "expected").string());
    put(built.folder.path() / "check.py", script);
    EXPECT_EQ(
        std::system(fmt::format("cd / && /usr/bin/python3 {}", (built.folder.path() / "check.py").string()).c_str()), 0)
        << parts;
  }
}

TEST(TokenStore, EveryFlippedBitIsFound) {
  Built built;
  const Path folder = built.open()->folder();
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string content = read_text(entry.path());
    for (const std::size_t at : {std::size_t{0}, content.size() / 3, content.size() / 2, content.size() - 2}) {
      if (content.empty()) continue;
      std::string damaged = content;
      damaged[at] = static_cast<char>(damaged[at] ^ 1);
      put(entry.path(), damaged);
      EXPECT_THAT(error_of(Kind::integrity, [&] { built.open(); }),
                  AllOf(HasSubstr(entry.path().string() == (folder / "MANIFEST.json").string() ? folder.string()
                                                                                               : entry.path().string()),
                        HasSubstr("remove the folder " + folder.string())));
    }
    put(entry.path(), content);
    put(entry.path(), content.substr(0, content.size() - 2));
    EXPECT_THAT(error_of(Kind::integrity, [&] { built.open(); }), HasSubstr("remove the folder " + folder.string()));
    put(entry.path(), content);
  }
  EXPECT_EQ(built.open()->documents(), 46);
}

TEST(TokenStore, FilesMissingAddedOrSwappedAreFound) {
  Built built;
  std::shared_ptr<const TokenStore> store;
  as_parts(2, [&](const Together& together) {
    const auto mine = built.open(together);
    if (together.part == 0) store = mine;
  });
  const Path folder = store->folder();
  const std::string remedy = "remove the folder " + folder.string() + " and start the same command again";
  put(folder / "extra", "x");
  EXPECT_THAT(error_of(Kind::integrity, [&] { built.open(); }),
              AllOf(HasSubstr("extra: it is there, and the manifest does not list it"), HasSubstr(remedy)));
  fs::remove(folder / "extra");
  fs::rename(folder / "part-00000.h5", folder / "x");
  EXPECT_THAT(error_of(Kind::integrity, [&] { built.open(); }),
              AllOf(HasSubstr("part-00000.h5: it is not there"), HasSubstr(remedy)));
  fs::rename(folder / "part-00001.h5", folder / "part-00000.h5");
  fs::rename(folder / "x", folder / "part-00001.h5");
  EXPECT_THAT(error_of(Kind::integrity, [&] { built.open(); }), HasSubstr("part-0000"));
}

TEST(TokenStore, AManifestThatVouchesForNonsenseIsRefusedToo) {
  // The digests agree, the contents do not: what HDF5 gives is checked as any other input.
  Built built;
  const Path folder = built.open()->folder();
  const std::string key = store_key(built.request);
  const std::vector<std::string> files = {"index.h5", "bad_rows.jsonl", "counts.json", "part-00000.h5"};
  const auto vouched = [&](const char* name, const std::string& content) {
    const std::string before = read_text(folder / name);
    put(folder / name, content);
    store_files::write_manifest(folder, key, 1, files);
    std::string text = error_of(Kind::integrity, [&] { built.open(); });
    put(folder / name, before);
    store_files::write_manifest(folder, key, 1, files);
    return text;
  };
  EXPECT_THAT(vouched("index.h5", "no HDF5"), HasSubstr("not an HDF5 file"));
  EXPECT_THAT(vouched("part-00000.h5", ""), HasSubstr("not an HDF5 file"));
  EXPECT_THAT(vouched("counts.json", "[]"), HasSubstr("counts"));
  EXPECT_THAT(vouched("counts.json", "{"), HasSubstr("counts.json"));
  const std::string part = read_text(folder / "part-00000.h5");
  EXPECT_THAT(vouched("index.h5", part.substr(0, part.size() / 2)), HasSubstr("index.h5"));
  store_files::write_manifest(folder, key, 2, files);
  EXPECT_THAT(error_of(Kind::integrity, [&] { built.open(); }), HasSubstr("part-00001.h5"));
  store_files::write_manifest(folder, std::string(96, '0'), 1, files);
  EXPECT_THAT(error_of(Kind::integrity, [&] { built.open(); }), HasSubstr("another token store"));
}

TEST(TokenStore, WhatIsNoStoreOrOfAnotherVersionIsRefusedAsSuch) {
  Built built;
  const Path folder = built.open()->folder();
  const std::string manifest = read_text(folder / "MANIFEST.json");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = manifest;
    text.replace(text.find(from), from.size(), to);
    put(folder / "MANIFEST.json", text);
    return error_of(Kind::data, [&] { TokenStore{folder}; });
  };
  EXPECT_THAT(
      with("\"version\": 1", "\"version\": 2"),
      AllOf(HasSubstr("reads version 1 of the token store, and not version 2"), HasSubstr("the hearth that wrote it")));
  EXPECT_THAT(with("hearth token store", "somebody's store"), HasSubstr("its format is `somebody's store`"));
  fs::remove(folder / "MANIFEST.json");
  EXPECT_THAT(error_of(Kind::data, [&] { TokenStore{folder}; }), HasSubstr("has no MANIFEST.json; name a folder that"));
}

TEST(TokenStore, HalfMadeStoresAreIgnoredAndRemoved) {
  Built built;
  const std::string short_key = store_key(built.request).substr(0, 32);
  put(built.cache / ("." + short_key + "-00000001.partial") / "part-00000.h5", "half");
  put(built.cache / (".other-00000002.partial") / "part-00000.h5", "half");
  put(built.cache / (".other-00000002.lock"), "");
  EXPECT_EQ(built.open()->documents(), 46);
  EXPECT_EQ(std::distance(fs::directory_iterator(built.cache), fs::directory_iterator()), 1);
}

TEST(TokenStore, AnErrorOnOnePartReachesAll) {
  class Failing final : public Encoder {
   public:
    std::vector<std::int32_t> encode(std::string_view text) const override {
      if (text == "row 39") fail(Kind::data, "this text is too strange");
      return {3};
    }
    std::optional<std::int32_t> begin() const override { return {}; }
    std::optional<std::int32_t> end() const override { return 2; }
    std::string digest() const override { return "failing"; }
  };
  Built built;
  const Failing failing;
  built.request.encoder = &failing;
  EXPECT_THAT(error_of(Kind::data, [&] { as_parts(3, [&](const Together& together) { built.open(together); }); }),
              HasSubstr("too strange"));
  EXPECT_TRUE(fs::is_empty(built.cache));
}

TEST(TokenStore, TokensThatTheModelDoesNotHaveAreRefused) {
  Built built;
  built.request.vocabulary = 50;
  EXPECT_THAT(error_of(Kind::data, [&] { built.open(); }),
              AllOf(HasSubstr("a.txt, line 1"), HasSubstr("do not belong together")));
  built.request.encoder = nullptr;
  EXPECT_THAT(error_of(Kind::usage, [&] { built.open(); }), HasSubstr("no tokenizer"));
}

/// Ends the process: 42 when a build ended as it should where no file can grow beyond 1 MiB, as if the disk were full.
[[noreturn]] void build_on_a_full_disk() {
  Built built;
  put(built.folder.path() / "corpus" / "big.txt", std::string(3 << 20, 'x'));
  built.sources = find_sources(built.sources.datasets);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit = {1 << 20, 1 << 20};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  try {
    built.open();
  } catch (const Error& error) {
    const bool as_it_should = error.kind() == Kind::storage && fs::is_empty(built.cache);
    fs::remove_all(built.folder.path());
    ::_exit(as_it_should ? 42 : 1);
  }
  ::_exit(2);
}

TEST(TokenStoreDeathTest, AFullDiskIsAStorageErrorAndLeavesNothing) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // another process: threads do not survive a fork
  EXPECT_EXIT(build_on_a_full_disk(), testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace hearth::test
