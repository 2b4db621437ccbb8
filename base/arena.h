// Scratch memory: taken in order, given back to a mark, all at once.
#pragma once

#include <cstddef>
#include <vector>

#include "base/memory.h"

namespace hearth {

/// A bump allocator over blocks of a Memory. Grows when it must (in the first step), never shrinks, so a warm step
/// allocates nothing: rewinding to the very start joins several blocks into one of the largest size ever needed.
/// A mark is returned to only after the streams that used the memory have passed it (the host has no streams).
class Arena {
 public:
  explicit Arena(Memory& memory) : memory_(memory) {}

  /// What a take of this has in use, alignment included.
  static std::size_t room(Dtype dtype, const Dims& dims);
  /// Takes `bytes` at once, in one piece, so that takes which have no more than that in use together need nothing
  /// further. REQUIRES: nothing is in use.
  void reserve(std::size_t bytes);

  struct Mark {
    std::size_t block = 0;
    std::size_t used = 0;
  };

  /// An unpitched tensor with undefined contents, aligned to 64 bytes.
  Tensor take(Dtype dtype, Dims dims);
  Mark mark() const { return {block_, used_}; }
  void rewind(Mark mark);
  std::size_t largest() const { return largest_; }  // most bytes in use at once so far

 private:
  std::size_t before(std::size_t block) const;

  Memory& memory_;
  std::vector<Buffer> blocks_;
  std::size_t block_ = 0;
  std::size_t used_ = 0;
  std::size_t largest_ = 0;
};

/// Rewinds an arena when a scope ends.
class Scratch {
 public:
  explicit Scratch(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~Scratch() { arena_.rewind(mark_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Tensor take(Dtype dtype, Dims dims) { return arena_.take(dtype, dims); }

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

}  // namespace hearth
