// Training: the merges of Hugging Face tokenizers 0.23.3 (BpeTrainer, ByteLevel without prefix space and with all its
// alphabet, train_from_iterator).
#include "data/tokenizer/bpe_trainer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/sha384.h"
#include "data/tokenizer/tokenizer.h"
#include "support/shared.h"

namespace hearth {
namespace {

using Json = nlohmann::json;
using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs merges_of(const std::string& json) {
  Pairs merges;
  const Json file = Json::parse(json);
  for (const Json& merge : file["model"]["merges"]) merges.emplace_back(merge[0], merge[1]);
  return merges;
}

std::string digest_of(const Pairs& merges) {
  std::string lines;
  for (const auto& [left, right] : merges) lines += left + " " + right + "\n";
  return sha384(lines);
}

const std::vector<std::string> documents = {
    "low low low low low lower lower newest newest newest newest newest newest widest widest widest",
    "aaaa aaaa banana 中文 中文字 don't don't\n\n\nlow"};

TEST(BpeTrainer, EndsBeforeAnyMergeWhenItIsAskedTo) {
  BpeTrainer trainer;
  for (const std::string& document : documents) trainer.add(document);
  int merges = 0;
  trainer.train(300, {}, [&] { ++merges; });
  EXPECT_GT(merges, 10);
  for (int at = 0; at < merges; ++at) {
    int calls = 0;
    const auto ask = [&] {
      if (calls++ == at) fail(Kind::preempted, "asked to end");
    };
    EXPECT_THROW(trainer.train(300, {}, ask), Error) << at;
  }
}

TEST(BpeTrainer, LearnsTheKnownMergesUntilNoPairIsLeft) {
  BpeTrainer trainer;
  for (const std::string& document : documents) trainer.add(document);
  const std::string json = trainer.train(300, {"<|endoftext|>", "<pad>"});
  const Pairs expected = {{"e", "s"},      {"es", "t"},       {"l", "o"},      {"lo", "w"},     {"a", "a"},
                          {"e", "w"},      {"n", "ew"},       {"Ġ", "low"},    {"Ġ", "new"},    {"Ġnew", "est"},
                          {"d", "est"},    {"i", "dest"},     {"w", "idest"},  {"Ġ", "widest"}, {"'", "t"},
                          {"a", "n"},      {"d", "o"},        {"e", "r"},      {"¸", "Ń"},      {"ä", "¸Ń"},
                          {"æ", "ĸ"},      {"Ġ", "do"},       {"Ġ", "ä¸Ń"},    {"aa", "aa"},    {"Ġlow", "er"},
                          {"æĸ", "ĩ"},     {"Ġdo", "n"},      {"Ġä¸Ń", "æĸĩ"}, {"b", "an"},     {"å", "Ń"},
                          {"Ċ", "Ċ"},      {"Ġ", "aaaa"},     {"Ġ", "ban"},    {"an", "a"},     {"Ġä¸Ńæĸĩ", "åŃ"},
                          {"Ġban", "ana"}, {"Ġä¸ŃæĸĩåŃ", "Ĺ"}};
  EXPECT_EQ(merges_of(json), expected);
  const Tokenizer tokenizer = Tokenizer::parse(json, "trained");
  EXPECT_EQ(tokenizer.vocabulary_size(), 295);
  EXPECT_EQ(tokenizer.id_of("<|endoftext|>"), 0);
  EXPECT_EQ(tokenizer.id_of("<pad>"), 1);
  EXPECT_EQ(tokenizer.id_of("!"), 2);
  for (const std::string& document : documents) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(document, Special::added), true), document);
  }
  EXPECT_EQ(tokenizer.encode("low newest<pad>", Special::none).size(), 3U);
}

TEST(BpeTrainer, LearnsTheKnownMergesOfRealTexts) {
  const std::vector<std::pair<std::string, std::string>> known = {
      {"tinyshakespeare.txt",
       "266669fcdf308f93172aef2c2499ad5c1a924408754799befd482f8e5b4a7b73b09ab6e288b8ffa70f4a23201b4ff6de"},
      {"honglou.txt",
       "b4ea667ebc96d7a213e18128e1e901fd79ee0ab6fb1c62c29d85c519b0541c5bf993be6906f64abd13c130e6b0b9799a"}};
  for (const auto& [corpus, merges] : known) {
    BpeTrainer trainer;
    trainer.add(read_text(test::data() / "corpora" / corpus));
    EXPECT_EQ(digest_of(merges_of(trainer.train(1024, {"<|endoftext|>"}))), merges) << corpus;
  }
}

// The words of all documents decide, however they arrive.
TEST(BpeTrainer, OrderAndPiecesPlayNoPart) {
  BpeTrainer forward;
  BpeTrainer backward;
  BpeTrainer counted;
  for (const std::string& document : documents) forward.add(document);
  for (auto it = documents.rbegin(); it != documents.rend(); ++it) backward.add(*it);
  for (const auto& [word, count] : forward.words()) counted.add_word(word, count);
  const std::string json = forward.train(290, {"<s>"});
  EXPECT_EQ(backward.train(290, {"<s>"}), json);
  EXPECT_EQ(counted.train(290, {"<s>"}), json);
  EXPECT_EQ(merges_of(json).size(), 33U);
}

TEST(BpeTrainer, NothingToLearnFromLeavesTheBytes) {
  BpeTrainer trainer;
  trainer.add("");
  const Tokenizer tokenizer = Tokenizer::parse(trainer.train(4096, {}), "trained");
  EXPECT_EQ(tokenizer.vocabulary_size(), 256);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("é 中", Special::none), false), "é 中");
}

TEST(BpeTrainer, RefusesWhatCannotBe) {
  BpeTrainer trainer;
  EXPECT_THROW(trainer.add("\xFF"), Error);
  EXPECT_THROW(trainer.train(255, {}), Error);
  EXPECT_THROW(trainer.train(257, {"a<", "b<"}), Error);
  EXPECT_THROW(trainer.train(std::int64_t{1} << 40, {}), Error);
  EXPECT_THROW(trainer.train(300, {""}), Error);
  EXPECT_THROW(trainer.train(300, {"<s>", "<s>"}), Error);
  EXPECT_THROW(trainer.train(300, {"\xFF"}), Error);
}

}  // namespace
}  // namespace hearth
