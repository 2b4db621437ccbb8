// One norm over all gradients of a model, the same bits for every number of ranks and every ZeRO stage.
#pragma once

#include <span>
#include <vector>

#include "parallel/flat_group.h"

namespace hearth {

/// Chunk sums of every group in f64, gathered once a step, and added in the order of groups and offsets.
class GlobalNorm {
 public:
  /// All groups are sharded over `shard`; both must outlive this. Its memory: 8 bytes for each chunk that is owned and
  /// for each chunk there is.
  GlobalNorm(std::vector<const FlatGroup*> groups, Communicator& shard, Memory& memory);

  /// (2), f64: the norm, and the index of the first group whose gradients hold NaN or infinity, -1 when there is none.
  /// Valid until the next call. Every rank calls it, between finish() and reset().
  Tensor measure();

 private:
  double sum_of(std::size_t group, std::int64_t first) const;

  std::vector<const FlatGroup*> groups_;
  Communicator& shard_;
  std::int64_t chunks_ = 0;  // of all groups, on one rank
  Buffer mine_;
  Buffer all_;
  Buffer result_;
};

}  // namespace hearth
