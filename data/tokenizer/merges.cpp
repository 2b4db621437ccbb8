#include "data/tokenizer/merges.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace hearth::tokenization {
namespace {

constexpr std::size_t short_row = 40;
constexpr std::uint32_t end_of_row = 0xFFFFFFFFU;

}  // namespace

MergeTable::MergeTable(std::size_t expected) : slots_(std::bit_ceil(2 * expected + 2)), mask_(slots_.size() - 1) {}

// REQUIRES: no more than `expected` pairs, so a free slot always ends a search.
void MergeTable::set(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t key = key_of(left, right);
  std::size_t at = start(key);
  while (slots_[at].key != key && slots_[at].key != free_key) at = (at + 1) & mask_;
  slots_[at] = {key, merge};
}

void MergeScratch::apply(const MergeTable& merges, std::vector<std::int32_t>& symbols) {
  if (symbols.size() < 2) return;
  if (symbols.size() <= short_row) {
    apply_short(merges, symbols);
  } else {
    apply_long(merges, symbols);
  }
}

void MergeScratch::apply_short(const MergeTable& merges, std::vector<std::int32_t>& symbols) {
  std::size_t count = symbols.size();
  pairs_.resize(count);
  for (std::size_t i = 0; i + 1 < count; ++i) pairs_[i] = merges.find(symbols[i], symbols[i + 1]);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (pairs_[i].rank < pairs_[best].rank) best = i;
    }
    if (pairs_[best].rank == Merge::none) break;
    symbols[best] = pairs_[best].into;
    --count;
    for (std::size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      pairs_[i - 1] = pairs_[i];
    }
    if (best > 0) pairs_[best - 1] = merges.find(symbols[best - 1], symbols[best]);
    if (best + 1 < count) pairs_[best] = merges.find(symbols[best], symbols[best + 1]);
  }
  symbols.resize(count);
}

void MergeScratch::offer(const MergeTable& merges, const std::vector<std::int32_t>& symbols, std::uint32_t left) {
  Node& node = nodes_[left];
  node.merge = node.next == end_of_row ? Merge{} : merges.find(symbols[left], symbols[node.next]);
  if (node.merge.rank == Merge::none) return;
  queue_.push_back(static_cast<std::uint64_t>(node.merge.rank) << 32 | left);
  std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
}

// A queue entry is stale when its node was merged away or has another rule by now: then the ranks differ, for a rank
// names one pair.
void MergeScratch::apply_long(const MergeTable& merges, std::vector<std::int32_t>& symbols) {
  const auto count = static_cast<std::uint32_t>(symbols.size());
  nodes_.resize(count);
  queue_.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    nodes_[i] = {i == 0 ? end_of_row : i - 1, i + 1 == count ? end_of_row : i + 1, {}};
    if (i + 1 < count) nodes_[i].merge = merges.find(symbols[i], symbols[i + 1]);
    if (nodes_[i].merge.rank != Merge::none)
      queue_.push_back(static_cast<std::uint64_t>(nodes_[i].merge.rank) << 32 | i);
  }
  std::make_heap(queue_.begin(), queue_.end(), std::greater<>());
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
    const auto left = static_cast<std::uint32_t>(queue_.back());
    const auto rank = static_cast<std::uint32_t>(queue_.back() >> 32);
    queue_.pop_back();
    if (nodes_[left].merge.rank != rank) continue;
    const std::uint32_t right = nodes_[left].next;
    symbols[left] = nodes_[left].merge.into;
    nodes_[left].next = nodes_[right].next;
    if (nodes_[left].next != end_of_row) nodes_[nodes_[left].next].previous = left;
    nodes_[right].merge = {};
    if (nodes_[left].previous != end_of_row) offer(merges, symbols, nodes_[left].previous);
    offer(merges, symbols, left);
  }
  std::size_t kept = 0;
  for (std::uint32_t i = 0; i != end_of_row; i = nodes_[i].next) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

}  // namespace hearth::tokenization
