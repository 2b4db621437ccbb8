// Parameters, and what the optimizer has beside them.
#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <span>

#include "trainer/memory_parts.h"

namespace hearth {

namespace {

/// What of Residency::resident is what.
void add_resident(const PlannedGroup& group, MemoryPlan& plan) {
  const Residency& residency = group.residency;
  const auto whole = static_cast<std::size_t>(group.layout.padded());
  const auto kept = static_cast<std::size_t>(group.layout.kept());
  const std::size_t weights = residency.whole_weights ? whole * size_of(group.options.compute) : 0;
  const std::size_t master = residency.aliased ? 0 : kept * size_of(residency.stored);
  const std::size_t moments = group.options.accumulators > 0 ? 2 * kept * sizeof(float) : 0;
  plan.weights += weights;
  plan.master += master;
  plan.moments += moments;
  plan.gradients += residency.resident - weights - master - moments;
}

/// BufferPool with Fit::close, in sizes.
class LentSizes {
 public:
  std::size_t take(std::size_t bytes) {
    if (bytes == 0) return 0;
    const auto found = free_.lower_bound(bytes);
    if (found != free_.end() && *found <= 2 * bytes) {
      const std::size_t size = *found;
      free_.erase(found);
      return size;
    }
    taken_ += Memory::room(bytes);
    return bytes;
  }
  void give(std::size_t size) {
    if (size > 0) free_.insert(size);
  }
  std::size_t taken() const { return taken_; }

 private:
  std::multiset<std::size_t> free_;
  std::size_t taken_ = 0;
};

/// Weights on loan while a stage walks through blocks, two at a time.
void walk(std::span<const int> blocks, std::span<const std::size_t> gathered, LentSizes& pool) {
  std::size_t here = blocks.empty() ? 0 : pool.take(gathered[static_cast<std::size_t>(blocks[0])]);
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    const bool more = k + 1 < blocks.size();
    const std::size_t there = more ? pool.take(gathered[static_cast<std::size_t>(blocks[k + 1])]) : 0;
    pool.give(here);
    here = there;
  }
}

/// The walks of one microbatch: there through all chunks, and back; in one where the head's backward follows its
/// forward. The head is run with its backward.
std::vector<std::vector<int>> walks_of(const PlannedLayout& layout, int stage, int blocks) {
  std::vector<std::vector<int>> there, back;
  for (const Interval& chunk : layout.chunks_of(stage)) {
    auto& forward = there.emplace_back();
    auto& backward = back.emplace_back();
    for (auto b = static_cast<int>(chunk.begin); b < chunk.end; ++b) {
      if (b + 1 < blocks) forward.push_back(b);
      backward.insert(backward.begin(), b);
    }
  }
  const bool turns = there.size() == 1 && layout.chunks_of(stage)[0].end == blocks;
  if (turns) {
    there[0].insert(there[0].end(), back[0].begin(), back[0].end());
    return there;
  }
  there.insert(there.end(), back.rbegin(), back.rend());
  return there;
}

}  // namespace

std::vector<PlannedGroup> groups_of(const PlannedModel& model, const PlannedLayout& layout, int stage) {
  std::array<std::optional<FlatLayout>, block_kinds.size()> layouts;
  std::vector<PlannedGroup> groups;
  const bool together = model.model().tied() && layout.mesh.pipe == 1;
  for (const Interval& chunk : layout.chunks_of(stage)) {
    for (auto block = static_cast<int>(chunk.begin); block < chunk.end; ++block) {
      if (together && block == model.blocks() - 1) continue;  // the embedding's
      const BlockKind kind = model.kind_of(block);
      auto& flat = layouts[static_cast<std::size_t>(kind)];
      if (!flat) flat.emplace(model.of(kind).parameters, layout.sums(), layout.shards());
      FlatOptions options;
      options.stage = static_cast<ZeroStage>(layout.zero_stage);
      options.compute = model.compute();
      options.order = layout.order;
      options.accumulators = layout.trainable ? (together && block == 0 ? 2 : 1) : 0;
      groups.push_back({block, options, *flat, Residency(*flat, options)});
    }
  }
  return groups;
}

void add_state(const PlannedModel& model, const PlannedLayout& layout, int stage, MemoryPlan& plan) {
  std::vector<std::size_t> gathered(static_cast<std::size_t>(model.blocks()), 0);
  std::size_t lent_gradients = 0;
  std::size_t chunks = 0;
  for (const PlannedGroup& group : groups_of(model, layout, stage)) {
    add_resident(group, plan);
    lent_gradients = std::max(lent_gradients, group.residency.gradients);
    gathered[static_cast<std::size_t>(group.block)] = group.residency.gathered;
    chunks += static_cast<std::size_t>(group.layout.interval / norm_chunk);
  }
  if (model.model().tied() && layout.mesh.pipe == 1) gathered.back() = gathered.front();
  plan.gradients += lent_gradients;
  if (layout.zero_stage == 3) {
    LentSizes pool;
    for (int microbatch = 0; microbatch < 2; ++microbatch) {
      for (const auto& blocks : walks_of(layout, stage, model.blocks())) walk(blocks, gathered, pool);
    }
    plan.gathered = pool.taken();
  }
  if (!layout.trainable) return;
  plan.communication = Memory::room(chunks * sizeof(double)) +
                       Memory::room(chunks * sizeof(double) * static_cast<std::size_t>(layout.sums())) +
                       Memory::room(static_cast<std::size_t>(model.blocks()) * sizeof(double)) +
                       Memory::room(2 * sizeof(double)) + Memory::room(2 * sizeof(float));
}

}  // namespace hearth
