// A tokenizer.json, read: the parts that a Tokenizer is made of.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/file.h"
#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/decoder.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/post_processor.h"
#include "data/tokenizer/pre_tokenizer.h"

namespace hearth::tokenization {

/// Tokens added beside the model's vocabulary.
struct AddedTokens {
  std::map<std::int32_t, AddedToken> by_id;
  std::map<std::string, std::int32_t, std::less<>> by_content;
  std::set<std::string, std::less<>> special;  // the contents of special tokens
  TokenFinder in_raw_text;
  TokenFinder in_normalized_text;
  std::int32_t size = 0;  // the largest id plus one
};

struct TokenizerParts {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<Bpe> model;
  AddedTokens added;
  Surroundings around;
  Decoder decoder;

  std::int32_t size() const;
  /// Among added tokens, then in the model's vocabulary.
  std::optional<std::int32_t> find(std::string_view token) const;
};

/// Throws Kind::data; `name` stands in the messages.
TokenizerParts read_tokenizer(const std::string& json, const std::string& name, Scanning scanning = Scanning::by_hand);

/// What tokenizer_config.json says about the ends of a text.
struct TextEnds {
  std::optional<std::int32_t> bos;
  std::optional<std::int32_t> eos;
  std::optional<bool> adds_bos;  // only where transformers obeys it: Llama and Gemma classes
  std::optional<bool> adds_eos;
};
TextEnds read_tokenizer_config(const Path& path, const TokenizerParts& parts);

}  // namespace hearth::tokenization
