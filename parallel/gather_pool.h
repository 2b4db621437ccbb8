// Buffers that blocks use in turn: gathered weights, and the gradients of one microbatch.
#pragma once

#include <vector>

#include "base/memory.h"
#include "kernels/ops.h"

namespace hearth {

/// Whether a buffer that is given back is filled with NaN first, so that late readers are seen. Tests say yes.
enum class Poison { no, yes };

/// Lends buffers. Once every user has had its turn, nothing more is taken from the memory.
class BufferPool {
 public:
  /// any: the smallest free buffer that is large enough; when none is, a free one is replaced (best where one is lent
  /// at a time). close: a free buffer of at most twice the size, else a new one (best where large and small alternate).
  enum class Fit { any, close };

  BufferPool(Fit fit, Ops& ops, Memory& memory, Poison poison)
      : fit_(fit), ops_(ops), memory_(memory), poison_(poison) {}

  /// At least `bytes` bytes; contents undefined. REQUIRES: bytes > 0 and a multiple of 4.
  Buffer take(std::size_t bytes);
  void give(Buffer buffer);

 private:
  Fit fit_;
  Ops& ops_;
  Memory& memory_;
  Poison poison_;
  std::vector<Buffer> free_;
};

/// What the groups of one model share. Must outlive them.
struct GatherPool {
  GatherPool(Ops& ops, Memory& memory, Poison poison = Poison::no)
      : weights(BufferPool::Fit::close, ops, memory, poison), gradients(BufferPool::Fit::any, ops, memory, poison) {}

  BufferPool weights;
  BufferPool gradients;
};

}  // namespace hearth
