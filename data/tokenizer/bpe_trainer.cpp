#include "data/tokenizer/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/utf8.h"
#include "data/tokenizer/alphabet.h"
#include "data/tokenizer/merge_learner.h"
#include "data/tokenizer/merges.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/vocabulary.h"

namespace hearth {
namespace {

using nlohmann::ordered_json;
using tokenization::CountedWord;
using tokenization::MergeLearner;
using tokenization::SymbolPair;

/// The special tokens, then every byte's character in the order of the characters; `ids` gets each byte's id.
std::vector<std::string> first_tokens(const std::vector<std::string>& special_tokens,
                                      std::array<std::int32_t, 256>& ids) {
  std::vector<std::string> tokens;
  for (const std::string& token : special_tokens) {
    if (token.empty()) fail(Kind::usage, "a special token is empty");
    if (first_invalid_utf8(token)) fail(Kind::usage, "a special token is not UTF-8");
    if (std::find(tokens.begin(), tokens.end(), token) != tokens.end()) {
      fail(Kind::usage, "the special token {} occurs twice", token);
    }
    tokens.push_back(token);
  }
  std::vector<std::pair<std::uint32_t, std::uint8_t>> characters;
  for (unsigned byte = 0; byte < 256; ++byte) {
    characters.emplace_back(tokenization::character_of_byte(static_cast<std::uint8_t>(byte)), byte);
  }
  std::sort(characters.begin(), characters.end());
  for (const auto& [character, byte] : characters) {
    std::string text;
    append_utf8(text, character);
    const auto there = std::find(tokens.begin(), tokens.end(), text);
    ids[byte] = static_cast<std::int32_t>(there - tokens.begin());
    if (there == tokens.end()) tokens.push_back(text);
  }
  return tokens;
}

std::string tokenizer_json(const std::vector<std::string>& tokens, const std::vector<SymbolPair>& merges,
                           const std::vector<std::string>& special_tokens) {
  const ordered_json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  ordered_json added = ordered_json::array();
  for (std::size_t id = 0; id < special_tokens.size(); ++id) {
    added.push_back({{"id", id},
                     {"content", special_tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  ordered_json vocabulary = ordered_json::object();
  auto& entries = vocabulary.get_ref<ordered_json::object_t&>();  // by push_back: a look-up a token would be quadratic
  for (std::size_t id = 0; id < tokens.size(); ++id) entries.push_back({tokens[id], id});
  ordered_json rules = ordered_json::array();
  for (const auto& [left, right] : merges) {
    rules.push_back({tokens[static_cast<std::size_t>(left)], tokens[static_cast<std::size_t>(right)]});
  }
  ordered_json file = {
      {"version", "1.0"},      {"truncation", nullptr},       {"padding", nullptr},           {"added_tokens", added},
      {"normalizer", nullptr}, {"pre_tokenizer", byte_level}, {"post_processor", byte_level}, {"decoder", byte_level}};
  file["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"ignore_merges", false}};
  file["model"]["vocab"] = std::move(vocabulary);
  file["model"]["merges"] = std::move(rules);
  return file.dump(2) + "\n";
}

/// Of merges for one pair the last counts, in its place.
std::vector<SymbolPair> last_of_each(const std::vector<SymbolPair>& merges) {
  tokenization::MergeTable last(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i)
    last.set(merges[i].first, merges[i].second, {static_cast<std::uint32_t>(i), 0});
  std::vector<SymbolPair> kept;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    if (last.find(merges[i].first, merges[i].second).rank == i) kept.push_back(merges[i]);
  }
  return kept;
}

}  // namespace

struct BpeTrainer::State final : tokenization::PieceSink {
  std::unique_ptr<tokenization::PreTokenizerStep> splitter = tokenization::split_step(
      tokenization::gpt2_pattern(), tokenization::Behavior::isolated, false, "the trainer's pre-tokenizer");
  tokenization::StepRoom room;
  std::unordered_map<std::string, std::uint64_t> words;
  std::string key;

  void take(std::string_view word, std::size_t /*beginning*/) override {
    key = word;
    ++words[key];
  }
};

BpeTrainer::BpeTrainer() : state_(std::make_unique<State>()) {}
BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::add(std::string_view text) {
  if (const auto invalid = first_invalid_utf8(text)) fail(Kind::data, "the text is not UTF-8 at byte {}", *invalid);
  state_->splitter->cut(text, 0, state_->room, *state_);
}

void BpeTrainer::add_word(std::string_view word, std::uint64_t times) {
  state_->key = word;
  state_->words[state_->key] += times;
}

const std::unordered_map<std::string, std::uint64_t>& BpeTrainer::words() const {
  return state_->words;
}

std::string BpeTrainer::train(std::int64_t vocabulary_size, const std::vector<std::string>& special_tokens,
                              const std::function<void()>& check) const {
  std::array<std::int32_t, 256> byte_ids{};
  const std::vector<std::string> first = first_tokens(special_tokens, byte_ids);
  if (vocabulary_size < static_cast<std::int64_t>(first.size()) ||
      vocabulary_size > tokenization::Vocabulary::most_ids) {
    fail(Kind::usage, "a vocabulary of {} tokens: it must be from {} (special tokens and bytes) to {}", vocabulary_size,
         first.size(), tokenization::Vocabulary::most_ids);
  }
  tokenization::Vocabulary vocabulary;
  std::vector<std::string> tokens;
  const auto id_of = [&](const std::string& token) {
    if (const auto id = vocabulary.find(token)) return *id;
    const auto id = static_cast<std::int32_t>(tokens.size());
    vocabulary.add(token, id);
    tokens.push_back(token);
    return id;
  };
  for (const std::string& token : first) id_of(token);
  std::vector<CountedWord> words;
  words.reserve(state_->words.size());
  for (const auto& [word, count] : state_->words) {
    CountedWord& counted = words.emplace_back();
    counted.count = static_cast<std::int64_t>(count);
    for (const char byte : word) counted.symbols.push_back(byte_ids[static_cast<std::uint8_t>(byte)]);
  }
  MergeLearner learner(std::move(words));
  std::vector<SymbolPair> merges;
  while (static_cast<std::int64_t>(tokens.size()) < vocabulary_size) {
    if (check) check();
    const SymbolPair pair = learner.commonest();
    if (pair.first < 0) break;
    learner.merge(id_of(tokens[static_cast<std::size_t>(pair.first)] + tokens[static_cast<std::size_t>(pair.second)]));
    merges.push_back(pair);
  }
  return tokenizer_json(tokens, last_of_each(merges), special_tokens);
}

}  // namespace hearth
