// The model's parameters, placed over the ranks: one FlatGroup for each block of this stage of the pipeline; tied ends
// share one, or are two that are kept equal where they are on different stages.
#pragma once

#include <memory>
#include <vector>

#include "model/transformer.h"
#include "parallel/flat_group.h"
#include "parallel/global_norm.h"
#include "parallel/mesh.h"

namespace hearth {

struct GroupOptions {
  int zero_stage = 0;
  Dtype compute = Dtype::f32;
  bool trainable = true;         // false: weights only, no gradients or moments
  Poison poison = Poison::no;    // tests: weights and gradients are NaN where nobody may read them
  std::vector<Interval> chunks;  // blocks of this stage, ascending; empty: all of them
  SumOrder order = SumOrder::fixed;
};

class Groups final : public WeightSource {
 public:
  Groups(const Transformer& model, Mesh& mesh, const GroupOptions& options, Ops& ops, Memory& memory);

  // Weights of a block, as WeightSource. REQUIRES: the block is of this stage.
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

  /// Every group of this stage once, in the order of the blocks.
  std::vector<const FlatGroup*> all() const;
  int count() const { return static_cast<int>(groups_.size()); }
  FlatGroup& group(int i) { return *groups_[static_cast<std::size_t>(i)]; }
  const FlatGroup& group(int i) const { return *groups_[static_cast<std::size_t>(i)]; }

  /// For GlobalNorm: this stage's groups, and how many the model has. A place is the number of the block.
  std::vector<GlobalNorm::Member> members() const;
  int places() const { return blocks_; }

 private:
  struct Place {
    int group = -1;  // none: a block of another stage
    int accumulator = 0;
  };
  void add(const Transformer& model, Mesh& mesh, const GroupOptions& options, Ops& ops, Memory& memory, int block);
  FlatGroup& of(int block);

  int blocks_;
  std::unique_ptr<GatherPool> pool_;
  std::vector<std::unique_ptr<FlatGroup>> groups_;
  std::vector<int> first_block_;  // by group
  std::vector<Place> places_;     // by block
};

}  // namespace hearth
