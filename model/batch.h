// From rows of token ids to what the blocks read.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

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

/// Device memory of one microbatch at a time, for up to `capacity` tokens.
class BatchMaker {
 public:
  /// compute: f64 only with the plain truth.
  BatchMaker(const Rotary& rotary, std::int64_t capacity, Dtype compute, Ops& ops, Memory& memory);

  /// The microbatch, valid until the next call.
  Batch make(const Documents& documents);
  /// Rows that continue one sequence whose first `length` tokens are in a cache.
  Batch make_continuation(std::span<const std::int32_t> tokens, std::int64_t length);

 private:
  Tensor put(const Buffer& buffer, std::span<const std::int32_t> values) const;
  void rotary_table(Batch& batch);

  Rotary rotary_;
  std::int64_t capacity_;
  Dtype table_;
  Ops& ops_;
  Buffer frequencies_, tokens_, targets_, weights_, positions_, first_, last_, cosine_, sine_, example_;
};

}  // namespace hearth
