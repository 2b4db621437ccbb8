#include "data/tokenizer/merge_learner.h"

namespace hearth::tokenization {

MergeLearner::MergeLearner(std::vector<CountedWord> words) : words_(std::move(words)) {
  for (std::uint32_t word = 0; word < words_.size(); ++word) {
    const auto& symbols = words_[word].symbols;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      change({symbols[i], symbols[i + 1]}, words_[word].count);
      meet({symbols[i], symbols[i + 1]}, word);
    }
  }
  queue_met();
}

void MergeLearner::change(SymbolPair pair, std::int64_t count) {
  counts_[key_of(pair)] += count;
}

void MergeLearner::meet(SymbolPair pair, std::uint32_t word) {
  Candidate& candidate = met_[key_of(pair)];
  candidate.pair = pair;
  if (candidate.words.empty() || candidate.words.back() != word) candidate.words.push_back(word);
}

void MergeLearner::queue_met() {
  for (auto& [key, candidate] : met_) {
    candidate.count = counts_[key];
    if (candidate.count > 0) queue_.push(std::move(candidate));
  }
  met_.clear();
}

// A candidate whose count is out of date is queued again with the true one.
SymbolPair MergeLearner::commonest() {
  while (!queue_.empty()) {
    chosen_ = std::move(const_cast<Candidate&>(queue_.top()));
    queue_.pop();
    const std::int64_t count = counts_[key_of(chosen_.pair)];
    if (chosen_.count == count) return count < 1 ? SymbolPair{-1, -1} : chosen_.pair;
    chosen_.count = count;
    queue_.push(std::move(chosen_));
  }
  return {-1, -1};
}

void MergeLearner::merge(std::int32_t into) {
  for (const std::uint32_t word : chosen_.words) merge_in(word, chosen_.pair, into);
  queue_met();
}

void MergeLearner::merge_in(std::uint32_t index, SymbolPair pair, std::int32_t into) {
  CountedWord& word = words_[index];
  auto& symbols = word.symbols;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i] != pair.first || i + 1 == symbols.size() || symbols[i + 1] != pair.second) {
      symbols[kept++] = symbols[i];
      continue;
    }
    if (kept > 0) {
      change({symbols[kept - 1], pair.first}, -word.count);
      change({symbols[kept - 1], into}, word.count);
      meet({symbols[kept - 1], into}, index);
    }
    ++i;
    if (i + 1 < symbols.size()) {
      change({pair.second, symbols[i + 1]}, -word.count);
      change({into, symbols[i + 1]}, word.count);
      meet({into, symbols[i + 1]}, index);
    }
    symbols[kept++] = into;
  }
  symbols.resize(kept);
}

}  // namespace hearth::tokenization
