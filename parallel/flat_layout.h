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

/// Parameters end to end, padded with zeros, cut into equal intervals, one a rank. Intervals are multiples of
/// norm_chunk, so chunk sums are taken at the same places for every number of ranks; only the end of the padding moves.
struct FlatLayout {
  FlatLayout(std::span<const Parameter> parameters, int ranks);

  std::vector<Interval> places;  // of each parameter
  std::int64_t elements = 0;     // of all parameters
  std::int64_t interval = 0;     // of one rank, padding included
  int ranks = 1;

  std::int64_t padded() const { return interval * ranks; }
  Interval whole() const { return {0, padded()}; }
  Interval of(int rank) const { return {rank * interval, (rank + 1) * interval}; }
};

/// What is sharded (Rajbhandari et al. 2020): nothing; optimizer state; gradients too; weights too.
enum class ZeroStage { replicated = 0, optimizer = 1, gradients = 2, weights = 3 };

struct FlatOptions {
  ZeroStage stage = ZeroStage::replicated;
  Dtype compute = Dtype::f32;  // f32 or bf16: what weights are computed with
  int accumulators = 1;  // sums of gradients that are kept apart until finish(): 2 for tied ends, 0 for frozen groups
};

/// Who keeps what. n ranks, N = padded elements, c = bytes of the compute dtype, a = accumulators (0: no state at all).
///
///              master        compute weights          moments   running gradients     microbatch's gradients
///   stage 0    4 N (*)       c N                      8 N       4 N + (a - 1) 4 N/n   a 4 N
///   stage 1    4 N/n (*)     c N                      8 N/n     a 4 N/n               a 4 N
///   stage 2    4 N/n (*)     c N                      8 N/n     a 4 N/n               4 N, lent to one block
///   stage 3    4 N/n         c N, lent to two blocks  8 N/n     a 4 N/n               4 N, lent to one block
///
/// (*) part of the compute weights, and so counted once, when those are f32. One rank alone is stage 2 for gradients,
/// and keeps f32 weights once at every stage. Frozen groups keep their master in the compute dtype. A higher stage
/// needs no more than a lower one as soon as the two largest blocks are at most (n - 1) / n of the model.
struct Residency {
  Residency(const FlatLayout& layout, const FlatOptions& options);

  Dtype stored;           // of the master
  bool whole_weights;     // weights in the compute dtype stay
  bool aliased;           // the master is part of them
  bool whole_state;       // master, moments and gradient of every element
  bool early;             // a block's gradients are reduced at once, and their buffer goes on to the next block
  std::size_t resident;   // bytes from construction to destruction
  std::size_t gathered;   // bytes lent by the pool between prefetch() and release()
  std::size_t gradients;  // bytes lent by the pool between begin_gradients() and reduce()
};

}  // namespace hearth
