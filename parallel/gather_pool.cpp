#include "parallel/gather_pool.h"

#include <algorithm>
#include <limits>

namespace hearth {

Buffer BufferPool::take(std::size_t bytes) {
  const auto smaller = [](const Buffer& a, const Buffer& b) { return a.bytes() < b.bytes(); };
  std::sort(free_.begin(), free_.end(), smaller);
  auto found = std::find_if(free_.begin(), free_.end(), [&](const Buffer& buffer) { return buffer.bytes() >= bytes; });
  if (found != free_.end() && (fit_ == Fit::any || found->bytes() <= 2 * bytes)) {
    Buffer buffer = std::move(*found);
    free_.erase(found);
    return buffer;
  }
  if (fit_ == Fit::any && !free_.empty()) free_.pop_back();  // before the larger one is taken
  return Buffer(memory_, bytes);
}

void BufferPool::give(Buffer buffer) {
  if (poison_ == Poison::yes) {
    // Two bf16 NaNs are an f32 NaN; the other way round every second bf16 would be 0.
    const auto count = static_cast<std::int64_t>(buffer.bytes() / sizeof(Bf16));
    ops_.fill(std::numeric_limits<double>::quiet_NaN(), buffer.tensor(Dtype::bf16, {count}));
  }
  free_.push_back(std::move(buffer));
}

}  // namespace hearth
