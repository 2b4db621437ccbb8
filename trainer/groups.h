// The model's parameters, placed over the ranks: one FlatGroup for each block; tied ends share one.
#pragma once

#include <memory>
#include <vector>

#include "model/transformer.h"
#include "parallel/flat_group.h"
#include "parallel/mesh.h"

namespace hearth {

struct GroupOptions {
  int zero_stage = 0;
  Dtype compute = Dtype::f32;
  bool trainable = true;       // false: weights only, no gradients or moments
  Poison poison = Poison::no;  // tests: weights and gradients are NaN where nobody may read them
};

class Groups final : public WeightSource {
 public:
  Groups(const Transformer& model, Mesh& mesh, const GroupOptions& options, Ops& ops, Memory& memory);

  // Weights of a block, as WeightSource.
  void prefetch(int block) override;
  std::span<const Tensor> whole(int block) override;
  void release(int block) override;

  /// Fresh zeros for the gradients of one microbatch of a block, and their sum onto what this rank owns.
  std::span<const Tensor> begin_gradients(int block);
  void reduce(int block);

  // Once a step, see FlatGroup: all gradients are complete; the updated masters become weights; sums are zero again.
  void finish();
  void publish();
  void reset();

  /// Every group once, in the order of the blocks.
  std::vector<const FlatGroup*> all() const;
  int count() const { return static_cast<int>(groups_.size()); }
  FlatGroup& group(int i) { return *groups_[static_cast<std::size_t>(i)]; }
  const FlatGroup& group(int i) const { return *groups_[static_cast<std::size_t>(i)]; }

 private:
  struct Place {
    int group = 0;
    int accumulator = 0;
  };
  FlatGroup& of(int block) { return group(places_[static_cast<std::size_t>(block)].group); }

  std::unique_ptr<GatherPool> pool_;
  std::vector<std::unique_ptr<FlatGroup>> groups_;
  std::vector<Place> places_;  // by block
};

}  // namespace hearth
