// Memory that ops need during a call, kept between calls.
#pragma once

#include "base/memory.h"

namespace hearth::cpu {

/// One piece of memory that grows to the largest request so far, so that a warm backend allocates nothing.
class Workspace {
 public:
  explicit Workspace(Memory& memory) : memory_(memory) {}

  /// Room for `count` floats, aligned to 64 bytes, undefined contents; the previous pointer is invalid afterwards.
  float* floats(std::int64_t count) {
    return static_cast<float*>(bytes(static_cast<std::size_t>(count) * sizeof(float)));
  }
  void* bytes(std::size_t count) {
    if (count > buffer_.bytes()) {
      buffer_ = Buffer();  // first, so that old and new are never held together
      buffer_ = Buffer(memory_, count);
    }
    return buffer_.data();
  }

 private:
  Memory& memory_;
  Buffer buffer_;
};

}  // namespace hearth::cpu
