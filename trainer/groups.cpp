#include "trainer/groups.h"

#include <utility>
#include <vector>

namespace hearth {

Groups::Groups(const Transformer& model, Mesh& mesh, const GroupOptions& options, Ops& ops, Memory& memory)
    : pool_(std::make_unique<GatherPool>(ops, memory, options.poison)) {
  const int last = model.blocks() - 1;
  for (int i = 0; i <= last; ++i) {
    if (i == last && model.tied()) {
      places_.push_back(
          {0, options.trainable ? 1 : 0});  // the embedding's group; a second sum, added to the first once a step
      continue;
    }
    FlatOptions flat;
    flat.stage = static_cast<ZeroStage>(options.zero_stage);
    flat.compute = options.compute;
    flat.accumulators = options.trainable ? (i == 0 && model.tied() ? 2 : 1) : 0;
    const Block& block = model.block(i);
    places_.push_back({count(), 0});
    std::vector<Parameter> parameters = block.parameters();
    for (Parameter& parameter : parameters) parameter.trainable = options.trainable;
    groups_.push_back(std::make_unique<FlatGroup>(block.name(), std::move(parameters), flat, mesh.along(Axis::data),
                                                  mesh.along(Axis::tensor), ops, memory, *pool_));
  }
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

}  // namespace hearth
