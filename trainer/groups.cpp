#include "trainer/groups.h"

#include <utility>
#include <vector>

namespace hearth {

Groups::Groups(const Transformer& model, Mesh& mesh, const GroupOptions& options, Ops& ops, Memory& memory)
    : blocks_(model.blocks()),
      pool_(std::make_unique<GatherPool>(ops, memory, options.poison)),
      places_(static_cast<std::size_t>(model.blocks())) {
  GroupOptions all = options;
  if (all.chunks.empty()) all.chunks.push_back({0, model.blocks()});
  for (const Interval& chunk : all.chunks) {
    for (std::int64_t i = chunk.begin; i < chunk.end; ++i) add(model, mesh, all, ops, memory, static_cast<int>(i));
  }
}

void Groups::add(const Transformer& model, Mesh& mesh, const GroupOptions& options, Ops& ops, Memory& memory,
                 int block) {
  const int last = model.blocks() - 1;
  const bool is_end = model.tied() && (block == 0 || block == last);
  const bool together = mesh.along(Axis::pipe).size() == 1;
  Place& place = places_[static_cast<std::size_t>(block)];
  if (is_end && block == last && together) {
    place = {0, options.trainable ? 1 : 0};  // the embedding's group; a second sum, added to the first once a step
    return;
  }
  FlatOptions flat;
  flat.order = options.order;
  flat.stage = static_cast<ZeroStage>(options.zero_stage);
  flat.compute = options.compute;
  flat.accumulators = options.trainable ? (is_end && together ? 2 : 1) : 0;
  Tie tie;
  if (is_end && !together) tie = {mesh.edges().ends.get(), block == 0};
  place.group = count();
  std::vector<Parameter> parameters = model.block(block).parameters();
  for (Parameter& parameter : parameters) parameter.trainable = options.trainable;
  groups_.push_back(std::make_unique<FlatGroup>(model.block(block).name(), std::move(parameters), flat, mesh, ops,
                                                memory, *pool_, tie));
  first_block_.push_back(block);
}

FlatGroup& Groups::of(int block) {
  const int group_of_it = places_[static_cast<std::size_t>(block)].group;
  require(group_of_it >= 0, "a block's weights are asked of the stage that has it");
  return group(group_of_it);
}

void Groups::prefetch(int block) {
  of(block).prefetch();
}
std::span<const Tensor> Groups::whole(int block) {
  return of(block).whole();
}
void Groups::release(int block) {
  of(block).release();
}

std::span<const Tensor> Groups::begin_gradients(int block) {
  return of(block).begin_gradients(places_[static_cast<std::size_t>(block)].accumulator);
}

void Groups::reduce(int block) {
  of(block).reduce(places_[static_cast<std::size_t>(block)].accumulator);
}

void Groups::finish() {
  for (const auto& group : groups_) group->finish();
}

void Groups::publish() {
  for (const auto& group : groups_) group->publish();
}

void Groups::reset() {
  for (const auto& group : groups_) group->reset();
}

std::vector<const FlatGroup*> Groups::all() const {
  std::vector<const FlatGroup*> all;
  for (const auto& group : groups_) all.push_back(group.get());
  return all;
}

std::vector<GlobalNorm::Member> Groups::members() const {
  std::vector<GlobalNorm::Member> members;
  for (std::size_t i = 0; i < groups_.size(); ++i) members.push_back({groups_[i].get(), first_block_[i]});
  return members;
}

}  // namespace hearth
