// Learning a byte-level byte-pair encoding.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hearth {

/// Counts words and learns merges from them. The merges equal those of Hugging Face tokenizers' BpeTrainer with the
/// ByteLevel pre-tokenizer (no prefix space), all 256 bytes as the initial alphabet, and the texts as its iterator: the
/// commonest pair first, of equally common ones that with the smaller ids. The order of texts and words plays no part.
class BpeTrainer {
 public:
  BpeTrainer();
  ~BpeTrainer();
  BpeTrainer(const BpeTrainer&) = delete;
  BpeTrainer& operator=(const BpeTrainer&) = delete;

  /// Counts the words of one document. Throws Kind::data when it is not UTF-8.
  void add(std::string_view text);
  /// Counts a word `times` more: one that add() met elsewhere, as words() tells it.
  void add_word(std::string_view word, std::uint64_t times);
  /// The words met so far, as raw bytes.
  const std::unordered_map<std::string, std::uint64_t>& words() const;

  /// The text of a tokenizer.json: the special tokens, the 256 bytes in the order of their characters, then one token a
  /// merge until there are `vocabulary_size`, or until no pair occurs any more. Throws Kind::usage when the special
  /// tokens and the bytes alone are more than that, or a special token is empty or occurs twice; and what `check` throws,
  /// which is called before each merge.
  std::string train(std::int64_t vocabulary_size, const std::vector<std::string>& special_tokens,
                    const std::function<void()>& check = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth
