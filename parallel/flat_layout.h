// Where the parameters of a group lie, and what of them a rank keeps: arithmetic alone, so that memory is known before
// anything is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/parameter.h"
#include "parallel/ordered_sum.h"

namespace hearth {

/// Neighbouring parameters of a group that are in equally many pieces, and whose holders end a backward alike.
struct Holding {
  int pieces = 1;
  Copies copies = Copies::same;
  Interval place;  // begins at a multiple of norm_chunk where what lies before has another number of pieces
};

/// One rank's pieces of all parameters end to end, padded with zeros, cut into equal intervals, one a rank of the sum
/// (data x context). Intervals are multiples of norm_chunk, so chunk sums are taken at the same places for every number
/// of ranks; only the end of the padding moves.
///
/// Parameters in fewer pieces come first, each number of pieces from a multiple of norm_chunk on: what ranks of the
/// tensor axis hold in common lies at the same place on all of them, and no chunk sum mixes what counts on a rank with
/// what does not. Without a tensor axis parameters lie in their order, without gaps.
///
/// With `shards` < ranks the shards repeat: rank g * shards + k owns its own interval, and keeps those of all ranks
/// with this k (Zhao et al. 2023 call it hybrid sharding). One shard is replication.
struct FlatLayout {
  FlatLayout(std::span<const Parameter> parameters, int ranks, int shards = 0 /* as many as ranks */);

  std::vector<Interval> places;  // of each parameter's piece
  std::vector<Holding> holdings;
  std::int64_t elements = 0;  // up to the end of the last place
  std::int64_t interval = 0;  // of one rank, padding included
  int ranks = 1;
  int shards = 1;

  int replicas() const { return ranks / shards; }
  std::int64_t padded() const { return interval * ranks; }
  Interval whole() const { return {0, padded()}; }
  Interval of(int rank) const { return {rank * interval, (rank + 1) * interval}; }
  /// The intervals that a rank keeps, in order: one, or one for each replica.
  std::vector<Interval> kept_by(int rank) const;
  std::int64_t kept() const { return interval * replicas(); }
};

/// What is sharded (Rajbhandari et al. 2020): nothing; optimizer state; gradients too; weights too.
enum class ZeroStage { replicated = 0, optimizer = 1, gradients = 2, weights = 3 };

/// How the gradients of microbatches become one. fixed: each by itself, in the order of their index. fast: those of one
/// rank first, straight onto each other, then over the ranks, once a step; under stages 2 and 3, where a rank has no
/// memory for a whole gradient, it is the same as fixed on more than one rank.
enum class SumOrder { fixed, fast };

struct FlatOptions {
  ZeroStage stage = ZeroStage::replicated;
  Dtype compute = Dtype::f32;  // f32 or bf16: what weights are computed with
  int accumulators = 1;  // sums of gradients that are kept apart until finish(): 2 for tied ends, 0 for frozen groups
  SumOrder order = SumOrder::fixed;
};

/// Who keeps what. n shards, N = padded elements, R ranks that sum, c = bytes of the compute dtype, a = accumulators (0:
/// no state at all).
///
///              master        compute weights          moments   running gradients        microbatch's gradients
///   stage 0    4 N (*)       c N                      8 N       4 N + (a - 1) 4 N/R      a 4 N
///   stage 1    4 N/n (*)     c N                      8 N/n     4 N/n + (a - 1) 4 N/R    a 4 N
///   stage 2    4 N/n (*)     c N                      8 N/n     4 N/n + (a - 1) 4 N/R    4 N, lent to one block
///   stage 3    4 N/n         c N, lent to two blocks  8 N/n     4 N/n + (a - 1) 4 N/R    4 N, lent to one block
///
/// (*) part of the compute weights, and so counted once, when those are f32 (not where shards repeat: what a rank keeps
/// is in several places then). One rank alone is stage 2 for gradients, and keeps f32 weights once at every stage; with the fast
/// order it has no microbatch's gradient.
/// Frozen groups keep their master in the compute dtype. A higher stage needs no more than a lower one as soon as the
/// two largest blocks are at most (n - 1) / n of the model. REQUIRES: one shard for stage 0.
struct Residency {
  Residency(const FlatLayout& layout, const FlatOptions& options);

  Dtype stored;           // of the master
  bool whole_weights;     // weights in the compute dtype stay
  bool aliased;           // the master is part of them
  bool whole_state;       // master, moments and gradient of every element: there is one shard
  bool early;             // a block's gradients are reduced at once, and their buffer goes on to the next block
  bool direct;            // gradients are made on the running sum: one rank, fast order
  std::size_t resident;   // bytes from construction to destruction
  std::size_t gathered;   // bytes lent by the pool between prefetch() and release()
  std::size_t gradients;  // bytes lent by the pool between begin_gradients() and reduce()
};

}  // namespace hearth
