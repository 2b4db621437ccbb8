// One norm over all gradients of a model, the same bits for every number of ranks and every ZeRO stage.
#pragma once

#include <span>
#include <vector>

#include "parallel/flat_group.h"

namespace hearth {

/// Chunk sums of every group in f64, gathered once a step over the ranks of the sum and added in the order of groups
/// and offsets; those of a group over the tensor axis in rank order; and all groups, whichever stage of the pipeline
/// has them, in the order of the model.
class GlobalNorm {
 public:
  struct Member {
    const FlatGroup* group = nullptr;
    int place = 0;  // among all groups of the model
  };
  /// `members` are this rank's, by ascending place; `groups` is how many the model has. Everything must outlive this.
  /// Its memory: 8 bytes for each chunk that is owned, for each chunk of the ranks that sum, and for each group.
  GlobalNorm(std::vector<Member> members, int groups, Mesh& mesh, Memory& memory);

  /// (2), f64: the norm, and the place of the first group whose gradients hold NaN or infinity, -1 when there is none.
  /// Valid until the next call. Every rank calls it, between finish() and reset().
  Tensor measure();

 private:
  double sum_of(const FlatGroup& group, std::int64_t first) const;

  std::vector<Member> members_;
  Mesh& mesh_;
  std::int64_t chunks_ = 0;  // of all members, on one rank
  int groups_;
  Buffer mine_;
  Buffer all_;
  Buffer by_group_;
  Buffer result_;
};

}  // namespace hearth
