// Which merges a set of counted words teaches.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hearth::tokenization {

/// A word as a row of symbols, and how often it occurs.
struct CountedWord {
  std::vector<std::int32_t> symbols;
  std::int64_t count = 0;
};

using SymbolPair = std::pair<std::int32_t, std::int32_t>;

/// Merges the commonest pair of neighbours again and again, as Hugging Face tokenizers' BpeTrainer does, down to how it
/// counts runs of one symbol and how a pair that comes back later is queued again.
class MergeLearner {
 public:
  explicit MergeLearner(std::vector<CountedWord> words);
  /// The commonest pair that is left, or (-1, -1) when none occurs.
  SymbolPair commonest();
  /// Writes `into` for the pair that commonest() gave last.
  void merge(std::int32_t into);

 private:
  struct Candidate {
    std::int64_t count = 0;
    SymbolPair pair;
    std::vector<std::uint32_t> words;  // where it may occur
  };
  struct Later {
    bool operator()(const Candidate& a, const Candidate& b) const {
      return a.count != b.count ? a.count < b.count : b.pair < a.pair;
    }
  };
  static std::uint64_t key_of(SymbolPair pair) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(pair.first)) << 32 |
           static_cast<std::uint32_t>(pair.second);
  }
  void change(SymbolPair pair, std::int64_t count);
  void meet(SymbolPair pair, std::uint32_t word);
  void merge_in(std::uint32_t index, SymbolPair pair, std::int32_t into);
  void queue_met();

  std::vector<CountedWord> words_;
  std::unordered_map<std::uint64_t, std::int64_t> counts_;
  std::unordered_map<std::uint64_t, Candidate> met_;  // pairs met since the last queueing
  std::priority_queue<Candidate, std::vector<Candidate>, Later> queue_;
  Candidate chosen_;
};

}  // namespace hearth::tokenization
