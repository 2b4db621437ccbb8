// A tokenizer as data needs it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/encoder.h"
#include "data/tokenizer/tokenizer.h"

namespace hearth {

class TokenizerEncoder final : public Encoder {
 public:
  explicit TokenizerEncoder(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}

  std::vector<std::int32_t> encode(std::string_view text) const override {
    return tokenizer_.encode(text, Special::none);
  }
  std::optional<std::int32_t> begin() const override { return tokenizer_.adds_bos() ? tokenizer_.bos() : std::nullopt; }
  std::optional<std::int32_t> end() const override { return tokenizer_.eos(); }
  std::string digest() const override { return tokenizer_.digest(); }

 private:
  Tokenizer tokenizer_;
};

}  // namespace hearth
