// Odd corners of tokenizer files, with the answers of Hugging Face tokenizers 0.23.3.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/tokenizer/tokenizer.h"

namespace hearth {
namespace {

using Json = nlohmann::json;
using Ids = std::vector<std::int32_t>;
using testing::AllOf;
using testing::HasSubstr;

/// A tokenizer of eleven characters, with some parts of its own.
Json file_with(const Json& parts) {
  Json file =
      Json::parse(R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": null, "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
              "fuse_unk": false, "byte_fallback": false, "merges": [],
              "vocab": {"▁": 0, "a": 1, "b": 2, "f": 3, "i": 4, "x": 5, " ": 6, "c": 7, ".": 8, "1": 9, "Ġ": 10}}})");
  file.update(parts);
  return file;
}

Tokenizer tokenizer_with(const Json& parts) {
  return Tokenizer::parse(file_with(parts).dump(), "FILE");
}

std::string refusal_of(const Json& parts) {
  try {
    tokenizer_with(parts);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::data);
    return error.text();
  }
  return "taken";
}

struct Beginning {
  const char* what;
  std::string parts;  // FIRST stands for a Metaspace with prepend_scheme first
  std::vector<std::pair<std::string, Ids>> known;
};

// "first" means: begins where the text began, before anything was normalised or cut.
const std::vector<Beginning> beginnings = {
    {"nothing before it",
     R"({"pre_tokenizer": "FIRST"})",
     {{"ab", {0, 1, 2}}, {"a b", {0, 1, 0, 2}}, {" ab", {0, 1, 2}}}},
    {"Strip took the beginning",
     R"({"normalizer": {"type": "Strip", "strip_left": true, "strip_right": false}, "pre_tokenizer": "FIRST"})",
     {{"ab", {0, 1, 2}}, {" ab", {1, 2}}, {"  ab", {1, 2}}}},
    {"Replace took the beginning",
     R"({"normalizer": {"type": "Replace", "pattern": {"String": "x"}, "content": ""}, "pre_tokenizer": "FIRST"})",
     {{"ab", {0, 1, 2}}, {"xab", {1, 2}}, {"axb", {0, 1, 2}}}},
    {"of several characters the last is replaced",
     R"({"normalizer": {"type": "Replace", "pattern": {"String": "xx"}, "content": "c"}, "pre_tokenizer": "FIRST"})",
     {{"xab", {0, 5, 1, 2}}, {"xxab", {7, 1, 2}}, {"axx", {0, 1, 7}}}},
    {"one for one keeps the place",
     R"({"normalizer": {"type": "Replace", "pattern": {"String": "x"}, "content": "c"}, "pre_tokenizer": "FIRST"})",
     {{"xab", {0, 7, 1, 2}}}},
    {"an expression",
     R"({"normalizer": {"type": "Replace", "pattern": {"Regex": "x+"}, "content": "c"}, "pre_tokenizer": "FIRST"})",
     {{"xab", {0, 7, 1, 2}}, {"xxab", {7, 1, 2}}}},
    {"what is put before belongs to the beginning",
     R"({"normalizer": {"type": "Prepend", "prepend": "c"}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": "c"}, "behavior": "Isolated"}, "FIRST"]}})",
     {{"ab", {0, 7, 0, 1, 2}}, {"cab", {0, 7, 0, 7, 1, 2}}}},
    {"after Strip, Prepend is not at the beginning",
     R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": true, "strip_right": false}, {"type": "Prepend", "prepend": "c"}]}, "pre_tokenizer": "FIRST"})",
     {{"ab", {0, 7, 1, 2}}, {" ab", {7, 1, 2}}}},
    {"parts of one character",
     R"({"normalizer": {"type": "NFKC"}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": "f"}, "behavior": "Isolated"}, "FIRST"]}})",
     {{"ﬁab", {0, 3, 0, 4, 1, 2}}, {"fiab", {0, 3, 4, 1, 2}}}},
    {"marks that are joined",
     R"({"normalizer": {"type": "NFC"}, "pre_tokenizer": "FIRST"})",
     {{"a\xCC\x81"
       "b",
       {0, 2}}}},
    {"added tokens cut the beginning",
     R"({"normalizer": {"type": "Prepend", "prepend": "c"}, "pre_tokenizer": "FIRST", "added_tokens": [{"id": 11, "content": "c1", "normalized": false}, {"id": 9, "content": "1", "normalized": true}]})",
     {{"1ab", {9, 1, 2}}, {"c1ab", {11, 7, 1, 2}}}},
    {"an added token where the beginning was",
     R"({"normalizer": {"type": "NFKC"}, "pre_tokenizer": "FIRST", "added_tokens": [{"id": 3, "content": "f", "normalized": true}]})",
     {{"ﬁab", {3, 0, 4, 1, 2}}, {"fiab", {3, 4, 1, 2}}}},
    {"a space that ByteLevel puts there",
     R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": false}, {"type": "Split", "pattern": {"String": "Ġ"}, "behavior": "Isolated"}, "FIRST"]}})",
     {{"ab", {0, 10, 0, 1, 2}}}},
    {"a second Metaspace",
     R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": ["FIRST", "FIRST"]}})",
     {{"ab", {0, 1, 2}}, {"a b", {0, 1, 0, 2}}}},
};

TEST(OddTokenizers, MetaspaceFirstKnowsWhereTheTextBegan) {
  const std::string metaspace =
      R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true})";
  for (const Beginning& one : beginnings) {
    std::string parts = one.parts;
    for (std::size_t at = 0; (at = parts.find("\"FIRST\"")) != std::string::npos;) parts.replace(at, 7, metaspace);
    const Tokenizer tokenizer = tokenizer_with(Json::parse(parts));
    for (const auto& [text, ids] : one.known) {
      EXPECT_EQ(tokenizer.encode(text, Special::none), ids) << one.what << ": " << text;
    }
  }
}

struct Decoded {
  std::string decoder;
  std::vector<std::string> known;  // of no token, a, ab, bb
};

const std::vector<Decoded> decoders = {
    {R"({"type": "Replace", "pattern": {"Regex": "^"}, "content": "x"})", {"", "xa", "xaxb", "xbxb"}},
    {R"({"type": "Replace", "pattern": {"Regex": "a*"}, "content": "x"})", {"", "x", "xxbx", "xbxxbx"}},
    {R"({"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Replace", "pattern": {"Regex": "$"}, "content": "x"}]})",
     {"", "ax", "abx", "bbx"}},
    {R"({"type": "Sequence", "decoders": [{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}, {"type": "Replace", "pattern": {"Regex": "\\s*$"}, "content": "x"}]})",
     {"", "ax", "abx", "bbx"}},
    {R"({"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Replace", "pattern": {"String": "a"}, "content": "x"}]})",
     {"", "x", "xb", "bb"}},
};

TEST(OddTokenizers, WhereNothingIsThereIsNothingToReplace) {
  const std::vector<Ids> all = {{}, {1}, {1, 2}, {2, 2}};
  for (const Decoded& one : decoders) {
    const Tokenizer tokenizer = tokenizer_with({{"decoder", Json::parse(one.decoder)}});
    for (std::size_t i = 0; i < all.size(); ++i)
      EXPECT_EQ(tokenizer.decode(all[i], false), one.known[i]) << one.decoder;
  }
  // A normaliser likewise: nothing is left of the text, and nothing is put in.
  const Tokenizer stripped = tokenizer_with(Json::parse(
      R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": true, "strip_right": true},
          {"type": "Replace", "pattern": {"Regex": "a*"}, "content": ""}]}})"));
  EXPECT_EQ(stripped.encode("  ", Special::none), Ids());
  EXPECT_EQ(stripped.encode(" ab", Special::none), (Ids{2}));
}

TEST(OddTokenizers, AnExpressionThatMatchesNothingDoesNotPutTextIn) {
  for (const char* expression : {"^", "$", "a*", "(?=a)", "x?", "\\\\b"}) {
    const Json replace =
        Json::parse(fmt::format(R"({{"type": "Replace", "pattern": {{"Regex": "{}"}}, "content": "x"}})", expression));
    EXPECT_THAT(refusal_of({{"normalizer", replace}}),
                AllOf(HasSubstr("FILE"), HasSubstr("normalizer.pattern.Regex"),
                      HasSubstr("can match where nothing stands"), HasSubstr("Prepend")))
        << expression;
    EXPECT_EQ(refusal_of({{"decoder", replace}}), "taken") << expression;
  }
  const Json something = Json::parse(R"({"type": "Replace", "pattern": {"Regex": "a+"}, "content": "x"})");
  EXPECT_EQ(tokenizer_with({{"normalizer", something}}).encode("aab", Special::none), (Ids{5, 2}));
}

Json added(std::int32_t id, const char* content, bool special, bool normalized) {
  return {{"id", id}, {"content", content}, {"special", special}, {"normalized", normalized}};
}

TEST(OddTokenizers, AddedTokensThatNormalisationMakesEqualAreRefused) {
  const Json nfkc = {{"type", "NFKC"}};
  for (const bool special : {false, true}) {
    for (const bool other : {false, true}) {
      EXPECT_THAT(refusal_of({{"normalizer", nfkc},
                              {"added_tokens", {added(11, "fi", special, true), added(12, "ﬁ", other, true)}}}),
                  AllOf(HasSubstr("added_tokens[1]"), HasSubstr("\"ﬁ\" and \"fi\" (id 11) are both \"fi\""),
                        HasSubstr("remove one of the two")));
    }
  }
  // Searched in different texts they do not collide.
  const Tokenizer both = tokenizer_with(
      {{"normalizer", nfkc}, {"added_tokens", {added(11, "fi", false, false), added(12, "ﬁ", false, true)}}});
  EXPECT_EQ(both.encode("afi ﬁ", Special::none), (Ids{1, 11, 6, 12}));
}

// What decodes to another text than the special token's own is no special token there.
TEST(OddTokenizers, SpecialTokensThatAreNormalisedAreNotLeftOut) {
  const Tokenizer tokenizer =
      tokenizer_with({{"normalizer", {{"type", "NFKC"}}},
                      {"added_tokens", {added(11, "ﬁ", true, true), added(12, "</s>", true, true)}}});
  EXPECT_EQ(tokenizer.decode(Ids{1, 11, 12}, true), "a fi");
  EXPECT_EQ(tokenizer.decode(Ids{1, 11, 12}, false), "a fi </s>");
}

}  // namespace
}  // namespace hearth
