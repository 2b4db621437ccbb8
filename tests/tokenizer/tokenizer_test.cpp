// Tokenizers against the known answers that travel with the source, and by hand: streams, ends of texts, threads.
#include "data/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "base/error.h"
#include "base/utf8.h"
#include "support/shared.h"
#include "tokenizer/known_rows.h"

namespace hearth {
namespace {

using Json = nlohmann::json;
using test::Ids;

TEST(Tokenizer, GivesTheKnownIdsOfARealModel) {
  const Tokenizer tokenizer = Tokenizer::load(test::data() / "models/stories260K");
  std::size_t texts = 0;
  for (const Json& row : test::rows_of(test::data() / "golden/tokenizers/stories260K.jsonl")) {
    if (!row.contains("text")) continue;
    test::expect_row(tokenizer, row, "ids");
    ++texts;
  }
  EXPECT_GT(texts, 70U);
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_EQ(tokenizer.eos(), 2);
  EXPECT_TRUE(tokenizer.adds_bos());
  EXPECT_FALSE(tokenizer.adds_eos());
  EXPECT_EQ(tokenizer.vocabulary_size(), 512);
  EXPECT_TRUE(tokenizer.is_special(2));
  EXPECT_FALSE(tokenizer.is_special(400));
}

Tokenizer made(const Json& file) {
  return Tokenizer::parse(file.dump(), "made");
}

// Random files of every part that hearth knows, with what Hugging Face tokenizers 0.23.3 makes of random texts.
TEST(Tokenizer, GivesTheKnownIdsOfRandomFiles) {
  std::size_t files = 0;
  for (const Json& file : test::rows_of(test::data() / "tokenizers/made.jsonl")) {
    if (!file.contains("tokenizer")) continue;
    SCOPED_TRACE(files);
    ++files;
    if (files == 9) {  // the one that puts text in where nothing stood (see tokenizer_odd_test)
      EXPECT_THROW(made(file["tokenizer"]), Error);
      continue;
    }
    const Tokenizer tokenizer = made(file["tokenizer"]);
    for (const Json& row : file["rows"]) {
      test::expect_row(tokenizer, row, "ids_with_special");
      test::expect_decoded(tokenizer, row["random_ids"].get<Ids>(), false, row["random_decoded"]);
    }
  }
  EXPECT_EQ(files, 70U);
}

/// A byte-level tokenizer of the 256 bytes and nothing else.
Json byte_level() {
  Json file = Json::parse(R"({"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "ByteLevel",
    "add_prefix_space": false, "trim_offsets": true, "use_regex": true}, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {}, "merges": []}})");
  const std::string printable =
      "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
  std::uint32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool itself = printable.find(static_cast<char>(static_cast<unsigned char>(byte))) != std::string::npos ||
                        (byte > 0xA0 && byte != 0xAD);
    std::string character;
    append_utf8(character, itself ? byte : next++);
    file["model"]["vocab"][character] = byte;
  }
  return file;
}

Ids bytes_of(std::string_view text) {
  Ids ids;
  for (const char byte : text) ids.push_back(static_cast<unsigned char>(byte));
  return ids;
}

TEST(Tokenizer, ByteLevelIdsAreTheBytes) {
  const Tokenizer tokenizer = made(byte_level());
  using namespace std::string_literals;
  const std::string text = "a \n\t\0\x7F é中😀 \uFFFF"s;
  EXPECT_EQ(tokenizer.encode(text, Special::none), bytes_of(text));
  EXPECT_EQ(tokenizer.decode(bytes_of(text), false), text);
  EXPECT_TRUE(tokenizer.encode("", Special::added).empty());
  EXPECT_EQ(tokenizer.decode({}, false), "");
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  const Tokenizer tokenizer = made(byte_level());
  for (const char* bad : {"ab\xFF", "\xC0\x80", "\xED\xA0\x80", "\xE4\xB8"}) {
    try {
      tokenizer.encode(bad, Special::none);
      ADD_FAILURE() << "taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Kind::data);
    }
  }
}

TEST(Tokenizer, MergesByRankThenFromTheLeft) {
  Json file = byte_level();
  file["model"]["vocab"]["ab"] = 256;
  file["model"]["vocab"]["bc"] = 257;
  file["model"]["vocab"]["aa"] = 258;
  file["model"]["vocab"]["abc"] = 259;
  file["model"]["merges"] = {"b c", "a b", "a a", "a bc"};
  const Tokenizer tokenizer = made(file);
  EXPECT_EQ(tokenizer.encode("abc", Special::none), (Ids{259}));
  EXPECT_EQ(tokenizer.encode("ab", Special::none), (Ids{256}));
  EXPECT_EQ(tokenizer.encode("aaaaa", Special::none), (Ids{258, 258, 97}));
  EXPECT_EQ(tokenizer.encode("aab", Special::none), (Ids{97, 256}));
  file["model"]["merges"] = {"a b", "b c", "a a", "ab c"};
  EXPECT_EQ(made(file).encode("abc", Special::none), (Ids{259}));
  file["model"]["merges"] = {"a b", "b c", "a a"};
  EXPECT_EQ(made(file).encode("abc", Special::none), (Ids{256, 99}));
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(made(file).encode("abc", Special::none), (Ids{259}));
}

/// Merging as it is defined: the rule of smallest rank that applies anywhere, at the leftmost place, until none applies.
std::vector<std::string> merged_plainly(std::vector<std::string> parts, const std::vector<std::string>& rules) {
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t rule = 0; rule < rules.size() && !changed; ++rule) {
      for (std::size_t i = 0; i + 1 < parts.size() && !changed; ++i) {
        if (parts[i] + " " + parts[i + 1] != rules[rule]) continue;
        parts[i] += parts[i + 1];
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        changed = true;
      }
    }
  }
  return parts;
}

/// Words of these letters, of every length up to 160, against the definition. In `file` every letter is one symbol.
void expect_merged_as_defined(Json file, const std::vector<std::string>& letters,
                              const std::vector<std::string>& rules) {
  for (const std::string& rule : rules) {
    std::string token = rule;
    std::erase(token, ' ');
    Json& vocab = file["model"]["vocab"];
    if (!vocab.contains(token)) vocab[token] = vocab.size();
    file["model"]["merges"].push_back(rule);
  }
  const Tokenizer tokenizer = made(file);
  std::mt19937 random(7);
  for (std::size_t length = 1; length < 160; ++length) {
    std::string word;
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < length; ++i) word += parts.emplace_back(letters[random() % letters.size()]);
    std::vector<std::string> tokens;
    for (const std::int32_t id : tokenizer.encode(word, Special::none)) tokens.push_back(tokenizer.token_of(id));
    ASSERT_EQ(tokens, merged_plainly(parts, rules)) << word;
  }
}

TEST(Tokenizer, MergesAsDefinedWhereAnyNeighboursMayJoin) {
  expect_merged_as_defined(byte_level(), {"a", "b"},
                           {"a a", "b aa", "a b", "ab ab", "b a", "aa ab", "b b", "abab b", "ba ba", "bb a", "ab a"});
}

// A pair that was offered to the heap and has since become another must wait for the other's turn.
TEST(Tokenizer, MergesAsDefinedWhereOffersGoStale) {
  expect_merged_as_defined(byte_level(), {"a", "b", "c", "d"},
                           {"b c", "a b", "bc d", "a bc", "d a", "d b", "d c", "d d", "a a", "b b", "c c", "c a", "c b",
                            "c d", "b a", "b d", "a c", "a d"});
}

TEST(Tokenizer, MergesAsDefinedAcrossSeams) {
  expect_merged_as_defined(byte_level(), {"a", "a", "a", "b", "b", "c", "d"},
                           {"a a", "a b", "ab ab", "b a", "aa ab", "c a", "abab b", "ba ba"});
}

TEST(Tokenizer, MergesAsDefinedAcrossSeamsOfOtherScripts) {
  const std::vector<std::string> letters = {"中", "文", "é", "▁", "a", "ñ", "😀"};
  Json file = byte_level();
  file["pre_tokenizer"] = nullptr;
  file["model"]["vocab"] = Json::object();
  for (std::size_t i = 0; i < letters.size(); ++i) file["model"]["vocab"][letters[i]] = i;
  expect_merged_as_defined(
      file, letters, {"中 文", "▁ a", "文 文", "▁a é", "é 中", "😀 ▁a", "é中 文", "中文 中文", "ñ ñ", "a 文", "ñ 😀"});
}

// The cache of short words pads them with zeros; that must not make two words one.
TEST(Tokenizer, ZeroBytesTellWordsApart) {
  using namespace std::string_literals;
  Json file = byte_level();
  for (const std::string& token : {"&&"s, "&&&&"s, "&&&&&&&&"s}) {
    file["model"]["vocab"][token] = file["model"]["vocab"].size();
    const std::string half = token.substr(token.size() / 2);
    file["model"]["merges"].push_back(half + " " + half);
  }
  const Tokenizer tokenizer = made(file);
  for (const std::string& text : {"&"s, "&\0"s, "&\0\0"s, "\0"s, "&&&&&&&&&"s, "&&&&&&&&&\0"s, "&&&&&&&&\0"s}) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, Special::none), false), text) << text.size();
  }
}

TEST(Tokenizer, NothingIsPutBeforeNothing) {
  Json file = byte_level();
  file["normalizer"] = Json::parse(R"({"type": "Sequence", "normalizers": [
    {"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "Prepend", "prepend": "_"}]})");
  const Tokenizer tokenizer = made(file);
  EXPECT_EQ(tokenizer.encode(" \n", Special::none), Ids{});
  EXPECT_EQ(tokenizer.encode(" a ", Special::none), bytes_of("_a"));
}

TEST(Tokenizer, AddedTokensAreFoundFirstAndWithTheirFlags) {
  Json file = byte_level();
  const auto token = [](int id, const char* content) {
    return Json{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  Json word = token(300, "cat");
  word["single_word"] = true;
  Json left = token(301, "<l>");
  left["lstrip"] = true;
  Json right = token(302, "<r>");
  right["rstrip"] = true;
  Json plain = token(304, "<l>x");
  plain["special"] = false;
  file["added_tokens"] = {word, left, right, plain};
  const Tokenizer tokenizer = made(file);
  EXPECT_EQ(tokenizer.encode("cat", Special::none), (Ids{300}));
  EXPECT_EQ(tokenizer.encode("cats", Special::none), bytes_of("cats"));
  EXPECT_EQ(tokenizer.encode("\xC3\xA9"
                             "cat",
                             Special::none),
            bytes_of("\xC3\xA9"
                     "cat"));
  EXPECT_EQ(tokenizer.encode("(cat)", Special::none), (Ids{40, 300, 41}));
  EXPECT_EQ(tokenizer.encode("a \t<l> b", Special::none), (Ids{97, 301, 32, 98}));
  EXPECT_EQ(tokenizer.encode("a <r> \xE3\x80\x80"
                             "b",
                             Special::none),
            (Ids{97, 32, 302, 98}));
  EXPECT_EQ(tokenizer.encode("<l>x<l>", Special::none), (Ids{304, 301}));
  EXPECT_EQ(tokenizer.decode(Ids{300, 304, 97, 9999, -1}, false), "cat<l>xa");
  EXPECT_EQ(tokenizer.decode(Ids{300, 304, 97, 9999, -1}, true), "<l>xa");
  EXPECT_EQ(tokenizer.vocabulary_size(), 305);
  EXPECT_EQ(tokenizer.id_of("<l>x"), 304);
  EXPECT_EQ(tokenizer.id_of("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer.token_of(302), "<r>");
  EXPECT_THROW(tokenizer.token_of(303), Error);
  EXPECT_THROW(tokenizer.token_of(-1), Error);
}

TEST(StreamDecoder, NeverSplitsACharacter) {
  const Tokenizer tokenizer = made(byte_level());
  const std::string text = "é中😀a";
  StreamDecoder decoder(tokenizer, false);
  std::vector<std::string> pieces;
  for (const std::int32_t id : bytes_of(text)) pieces.push_back(decoder.push(id));
  pieces.push_back(decoder.finish());
  EXPECT_EQ(pieces, (std::vector<std::string>{"", "é", "", "", "中", "", "", "", "😀", "a", ""}));
}

// Where one text is made of all tokens, only what a later token can change waits.
TEST(StreamDecoder, HoldsNoMoreBackThanItMust) {
  Json file = byte_level();
  file["decoder"] = Json::parse(R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
    {"type": "Replace", "pattern": {"String": "abc"}, "content": "-"}, {"type": "Strip", "content": "x", "start": 1, "stop": 1}]})");
  const Tokenizer tokenizer = made(file);
  StreamDecoder decoder(tokenizer, false);
  std::vector<std::string> pieces;
  for (const char c : std::string("xxdababcxxa")) pieces.push_back(decoder.push(c));
  pieces.push_back(decoder.finish());
  EXPECT_EQ(pieces, (std::vector<std::string>{"", "", "xd", "", "", "ab", "", "-", "", "x", "", "xa"}));
  test::expect_decoded(tokenizer, bytes_of("xabcabx"), false, "-ab");
}

// What is no character becomes U+FFFD, one for each longest beginning of one, as in Hugging Face tokenizers.
TEST(StreamDecoder, BrokenBytesBecomeReplacementCharacters) {
  const Tokenizer tokenizer = made(byte_level());
  const std::string r = "\xEF\xBF\xBD";
  const std::vector<std::pair<std::string, std::string>> cases = {{"\xFF", r},
                                                                  {"a\xE4\xB8", "a" + r},
                                                                  {"\xE4\xB8"
                                                                   "b",
                                                                   r + "b"},
                                                                  {"\xE4\xB8\xE4\xB8\xAD", r + "中"},
                                                                  {"\xED\xA0\x80", r + r + r},
                                                                  {"\xF0\x9F\x98", r},
                                                                  {"\xC0\x80x", r + r + "x"},
                                                                  {"\xF4\x90\x80\x80", r + r + r + r}};
  for (const auto& [bytes, expected] : cases) test::expect_decoded(tokenizer, bytes_of(bytes), false, expected);
}

TEST(StreamDecoder, OutlivesItsTokenizer) {
  auto tokenizer = std::make_unique<Tokenizer>(made(byte_level()));
  StreamDecoder decoder(*tokenizer, false);
  tokenizer.reset();
  EXPECT_EQ(decoder.push(97) + decoder.finish(), "a");
}

TEST(Tokenizer, ConfigurationBesideTheFileNamesTheEnds) {
  const test::Folder folder;
  Json file = byte_level();
  file["added_tokens"] = {{{"id", 300}, {"content", "<s>"}, {"special", true}},
                          {{"id", 301}, {"content", "</s>"}, {"special", true}}};
  write_file(folder.path() / "tokenizer.json", file.dump());
  const std::string plain_digest = Tokenizer::load(folder.path()).digest();
  EXPECT_EQ(Tokenizer::load(folder.path()).bos(), std::nullopt);

  write_file(
      folder.path() / "tokenizer_config.json",
      R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "add_bos_token": true, "tokenizer_class": "Qwen2Tokenizer"})");
  const Tokenizer named = Tokenizer::load(folder.path());
  EXPECT_EQ(named.bos(), 300);
  EXPECT_EQ(named.eos(), 301);
  EXPECT_FALSE(named.adds_bos());
  EXPECT_EQ(named.digest(), plain_digest);
  EXPECT_EQ(named.json(), file.dump());

  write_file(
      folder.path() / "tokenizer_config.json",
      R"({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true, "add_eos_token": true, "tokenizer_class": "LlamaTokenizerFast"})");
  const Tokenizer obeyed = Tokenizer::load(folder.path());
  EXPECT_EQ(obeyed.encode("a", Special::added), (Ids{300, 97, 301}));
  EXPECT_EQ(obeyed.encode("a", Special::none), (Ids{97}));
  EXPECT_TRUE(obeyed.adds_bos() && obeyed.adds_eos());
  EXPECT_NE(obeyed.digest(), plain_digest);
  EXPECT_EQ(Tokenizer::load(folder.path() / "tokenizer.json").encode("a", Special::added), (Ids{97}));

  write_file(folder.path() / "tokenizer_config.json", R"({"bos_token": "<nowhere>"})");
  EXPECT_THROW(Tokenizer::load(folder.path()), Error);
}

TEST(Tokenizer, AnyNumberOfThreads) {
  const Tokenizer tokenizer = Tokenizer::load(test::data() / "models/stories260K");
  const std::string text = read_text(test::data() / "corpora/tinyshakespeare.txt");
  const Ids expected = tokenizer.encode(text, Special::added);
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);
  for (std::size_t i = 0; i < equal.size(); ++i) {
    threads.emplace_back([&, i] { equal[i] = tokenizer.encode(text, Special::added) == expected ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 1));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, Special::none), false), text);
}

// Long texts without any place to cut take time in proportion to n log n and no stack.
TEST(Tokenizer, OneMillionCharactersWithoutASpace) {
  const Tokenizer tokenizer = Tokenizer::load(test::data() / "models/stories260K");
  for (const char* unit : {"a", "the", "▁", " ", "中", "\n", "ab😀"}) {
    std::string text;
    while (text.size() < 1000000) text += unit;
    SCOPED_TRACE(unit);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, Special::none), false).size(),
              std::string(unit) == "▁" ? text.size() / 3 : text.size());
  }
}

}  // namespace
}  // namespace hearth
