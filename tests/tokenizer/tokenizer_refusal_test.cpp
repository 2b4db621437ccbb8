// Broken and foreign tokenizer files: each is refused, by name, and nothing crashes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/tokenizer/tokenizer.h"

namespace hearth {
namespace {

using Json = nlohmann::json;

Json good() {
  return Json::parse(R"({"version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 3, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
              "fuse_unk": false, "byte_fallback": false, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
}

std::string complaint(const std::string& json) {
  try {
    Tokenizer::parse(json, "FILE");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::data) << error.what();
    EXPECT_THAT(error.text(), testing::HasSubstr("FILE"));
    return error.text();
  }
  return "";
}

/// Sets the value at a JSON pointer and expects the refusal to hold `words`.
void expect_refused(const char* pointer, const char* value, const std::vector<std::string>& words) {
  Json file = good();
  file[Json::json_pointer(pointer)] = Json::parse(value);
  SCOPED_TRACE(pointer);
  SCOPED_TRACE(value);
  const std::string text = complaint(file.dump());
  EXPECT_FALSE(text.empty()) << "taken";
  for (const std::string& word : words) EXPECT_THAT(text, testing::HasSubstr(word));
}

TEST(TokenizerFile, TheUnchangedFileIsTaken) {
  EXPECT_EQ(complaint(good().dump()), "");
}

TEST(TokenizerFile, RefusesForeignParts) {
  expect_refused("/version", R"("2.0")", {"version", "2.0"});
  expect_refused("/truncation", R"({"max_length": 5})", {"truncation"});
  expect_refused("/padding", R"({"strategy": "BatchLongest"})", {"padding"});
  expect_refused("/novelty", "1", {"novelty"});
  expect_refused("/model/type", R"("Unigram")", {"Unigram"});
  expect_refused("/model/type", R"("WordPiece")", {"WordPiece"});
  expect_refused("/model/dropout", "0.1", {"dropout"});
  expect_refused("/model/continuing_subword_prefix", R"("##")", {"continuing_subword_prefix"});
  expect_refused("/model/end_of_word_suffix", R"("</w>")", {"end_of_word_suffix"});
  expect_refused("/model/cleverness", "true", {"model", "cleverness"});
  expect_refused("/normalizer", R"({"type": "Precompiled", "precompiled_charsmap": ""})",
                 {"normalizer", "Precompiled"});
  expect_refused("/normalizer", R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]})",
                 {"normalizers[1]", "Lowercase"});
  expect_refused("/normalizer", R"({"type": "NFC", "more": 1})", {"more"});
  expect_refused("/normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": "x"})", {"pattern"});
  expect_refused("/pre_tokenizer", R"({"type": "BertPreTokenizer"})", {"pre_tokenizer", "BertPreTokenizer"});
  expect_refused("/pre_tokenizer",
                 R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Sideways", "invert": false})",
                 {"Sideways"});
  expect_refused("/pre_tokenizer", R"({"type": "Metaspace", "replacement": "ab", "add_prefix_space": true})",
                 {"replacement"});
  expect_refused("/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "sometimes"})",
                 {"sometimes"});
  expect_refused("/post_processor", R"({"type": "BertProcessing", "sep": ["a", 0], "cls": ["b", 1]})",
                 {"BertProcessing"});
  expect_refused("/decoder", R"({"type": "WordPiece", "prefix": "##", "cleanup": true})", {"decoder", "WordPiece"});
}

TEST(TokenizerFile, RefusesExpressionsItDoesNotUnderstand) {
  for (const char* regex :
       {"(", "[a", "a{2,1}", "(?<x>a)", "(*ACCEPT)", "[a&&b]", "[a[b]]", "\\\\p{Klingon}", "a{1,3}+", "a(?i)b",
        "\\\\k<x>", "\\\\X", "\\\\", "\\\\xFF", "(?m:a)", "a{,3}", "\\\\p", "(a", "(?=a"}) {
    const std::string split = R"({"type": "Split", "pattern": {"Regex": ")" + std::string(regex) +
                              R"("}, "behavior": "Isolated", "invert": false})";
    expect_refused("/pre_tokenizer", split.c_str(), {"pre_tokenizer.pattern.Regex"});
  }
  const Json deep = {{"type", "Split"},
                     {"pattern", {{"Regex", std::string(5000, '(') + std::string(5000, ')')}}},
                     {"behavior", "Isolated"},
                     {"invert", false}};
  expect_refused("/pre_tokenizer", deep.dump().c_str(), {"Regex"});
}

TEST(TokenizerFile, RefusesWrongTypesAndMissingParts) {
  for (const char* pointer :
       {"/model", "/model/vocab", "/model/merges", "/added_tokens", "/added_tokens/0", "/version", "/normalizer",
        "/pre_tokenizer", "/post_processor", "/decoder", "/model/unk_token", "/model/fuse_unk", "/added_tokens/0/id",
        "/added_tokens/0/content", "/added_tokens/0/special"}) {
    for (const char* value : {"17", "[17]", R"({"x": {}})", R"({"type": 3})"}) {
      if (std::string(pointer) == "/added_tokens/0/id" && std::string(value) == "17") continue;
      expect_refused(pointer, value, {});
    }
  }
  Json file = good();
  file["model"].erase("vocab");
  EXPECT_THAT(complaint(file.dump()), testing::HasSubstr("vocab"));
  file = good();
  file.erase("model");
  EXPECT_THAT(complaint(file.dump()), testing::HasSubstr("model"));
}

TEST(TokenizerFile, RefusesImpossibleVocabularies) {
  expect_refused("/model/vocab/c", "-1", {"vocab", "c"});
  expect_refused("/model/vocab/c", "4194304", {"vocab", "c"});
  expect_refused("/model/vocab/c", "4294967296", {"vocab", "c"});
  expect_refused("/model/vocab/c", "99999999999999999999", {"vocab", "c"});
  expect_refused("/model/vocab/c", "1.5", {"vocab", "c"});
  expect_refused("/model/vocab/c", "null", {"vocab", "c"});
  expect_refused("/model/vocab/c", "1", {"id 1", "two tokens"});
  expect_refused("/model/merges", R"(["a c"])", {"merges", "\"c\""});
  expect_refused("/model/merges", R"(["b a"])", {"merges", "\"ba\""});
  expect_refused("/model/merges", R"(["ab"])", {"merges"});
  expect_refused("/model/merges", R"(["a b c"])", {"merges"});
  expect_refused("/model/merges", R"([["a"]])", {"merges"});
  expect_refused("/model/merges", R"([["a", "b", "a"]])", {"merges"});
  expect_refused("/model/merges", R"([["a", 1]])", {"merges"});
  expect_refused("/model/unk_token", R"("<unk>")", {"unk_token", "<unk>"});
  expect_refused("/added_tokens/0/id", "-1", {"added_tokens[0]"});
  expect_refused("/added_tokens/0/id", "2147483647", {"added_tokens[0]"});
  expect_refused("/added_tokens/0/id", "2", {"added_tokens[0]", "ab"});
  expect_refused("/added_tokens/0/content", R"("ab")", {"added_tokens[0]", "ab"});
  expect_refused("/added_tokens/0/content", R"("")", {"added_tokens[0]"});
  expect_refused("/added_tokens/1", good()["added_tokens"][0].dump().c_str(), {"twice"});
  expect_refused(
      "/post_processor",
      R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                     "pair": [], "special_tokens": {"x": {"id": "x", "ids": [4], "tokens": ["x"]}}})",
      {"ids[0]"});
  expect_refused("/post_processor", R"({"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}})",
                 {"single"});
  Json empty = good();
  empty["model"]["vocab"] = Json::object();
  empty["model"]["merges"] = Json::array();
  empty["added_tokens"] = Json::array();
  EXPECT_THAT(complaint(empty.dump()), testing::HasSubstr("empty"));
}

TEST(TokenizerFile, RefusesWhatIsNotJson) {
  const std::string text = good().dump();
  EXPECT_THAT(complaint(""), testing::HasSubstr("JSON"));
  EXPECT_THAT(complaint("{"), testing::HasSubstr("JSON"));
  EXPECT_THAT(complaint("[]"), testing::HasSubstr("object"));
  EXPECT_THAT(complaint(text + "x"), testing::HasSubstr("JSON"));
  EXPECT_THAT(complaint(std::string(100000, '[')), testing::HasSubstr("JSON"));
  EXPECT_THAT(complaint("{\"model\": \"\xFF\"}"), testing::HasSubstr("UTF-8"));
  EXPECT_THAT(complaint(R"({"model": "\ud800"})"), testing::HasSubstr("JSON"));
  EXPECT_THAT(complaint(R"({"version": "1.0", "version": "1.0"})"), testing::HasSubstr("twice"));
  EXPECT_THAT(complaint(R"({"model": {"vocab": {"a": 0, "a": 1}, "merges": []}})"), testing::HasSubstr("twice"));
  std::string nested = R"({"type": "NFC"})";
  for (int i = 0; i < 2000; ++i) nested = R"({"type": "Sequence", "normalizers": [)" + nested + "]}";
  EXPECT_THAT(complaint(R"({"model": {"vocab": {"a": 0}, "merges": []}, "normalizer": )" + nested + "}"),
              testing::HasSubstr("JSON"));
}

// Every file that is cut short is refused; every file with one byte changed is taken or refused, and then works or not,
// but never more than that.
TEST(TokenizerFile, BrokenFilesNeverCrash) {
  const std::string text = good().dump();
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_NE(complaint(text.substr(0, size)), "");
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const char byte : {'"', '}', '9', '-', '\\', 'x'}) {
      std::string changed = text;
      changed[at] = byte;
      try {
        const Tokenizer tokenizer = Tokenizer::parse(changed, "FILE");
        tokenizer.decode(tokenizer.encode("abba<s>c", Special::added), true);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), Kind::data) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace hearth
