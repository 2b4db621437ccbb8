// From rows of token ids to what the blocks of one context rank read.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/interval.h"
#include "kernels/ops.h"
#include "model/block.h"
#include "model/rotary.h"

namespace hearth {

/// One microbatch on the host: rows end to end, each of one or more documents.
struct Documents {
  std::vector<std::int32_t> tokens;   // (T)
  std::vector<std::int32_t> targets;  // (T), -1: none. Never points across a border
  std::vector<float> weights;         // (T)
  std::vector<std::int32_t> example;  // (T)
  std::vector<std::int32_t> starts;   // first row of each document, ascending, beginning with 0
};

/// What the number of a microbatch's tokens must be a multiple of: t, times 2 C where C is not 1.
std::int64_t token_multiple(const AxisSizes& axes);

/// Adds tokens that count for nothing until their number is a multiple of `multiple`: a document of their own behind the
/// others, without targets, of weight 0, of example -1. What there was stays as it was.
void pad_to(Documents& documents, std::int64_t multiple);

/// The rows of a microbatch of `total` tokens that context rank `rank` of `size` has, in the order in which it has them:
/// the rank-th and the rank-th last of 2 * size equal chunks, so that under the causal mask every rank has equally much
/// to do; all of them where size is 1. REQUIRES: total is a multiple of 2 * size where size is not 1.
std::vector<Interval> context_rows(std::int64_t total, int rank, int size);

/// Whose part of a microbatch is made.
struct ContextPlace {
  int rank = 0;
  int size = 1;
  /// The model's sliding window, 0: none. Keys of other ranks are limited to it here, since a range that is cut at
  /// another rank's rows does not show any more how far back it reaches.
  std::int64_t window = 0;
};

/// Device memory of one microbatch at a time, for up to `capacity` tokens of this context rank.
class BatchMaker {
 public:
  /// compute: f64 only with the plain truth.
  BatchMaker(const Rotary& rotary, std::int64_t capacity, Dtype compute, Ops& ops, Memory& memory,
             ContextPlace place = {});

  /// This context rank's rows of a microbatch, which is given whole, the same on every rank; valid until the next call.
  /// REQUIRES: its tokens can be cut by context_rows.
  Batch make(const Documents& documents);
  /// Rows that continue one sequence whose first `length` tokens are in a cache. REQUIRES: a context axis of one.
  Batch make_continuation(std::span<const std::int32_t> tokens, std::int64_t length);

 private:
  Tensor put(const Buffer& buffer, std::span<const std::int32_t> values) const;
  KeyRange put_range(int rank, std::span<const std::int32_t> first, std::span<const std::int32_t> last) const;
  KeyRange keys_of(int rank, std::span<const std::int32_t> first, std::span<const std::int32_t> last,
                   std::int64_t total) const;
  void rotary_table(Batch& batch);

  Rotary rotary_;
  std::int64_t capacity_;
  Dtype table_;
  Ops& ops_;
  ContextPlace place_;
  Buffer frequencies_, tokens_, targets_, weights_, positions_, ranges_, cosine_, sine_, example_;
};

}  // namespace hearth
