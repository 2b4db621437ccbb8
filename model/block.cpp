#include "model/block.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace hearth {

Buffer KeptMemory::take(std::size_t bytes) {
  const auto found = std::find_if(free_.begin(), free_.end(), [&](const Buffer& b) { return b.bytes() == bytes; });
  if (found == free_.end()) return Buffer(memory_, bytes);
  Buffer buffer = std::move(*found);
  free_.erase(found);
  return buffer;
}

void KeptMemory::give(Buffer buffer) {
  free_.push_back(std::move(buffer));
}

Kept::Kept(KeptMemory& memory, const BatchShape& shape, Dtype dtype, Dims dims)
    : memory_(memory), dtype_(dtype), dims_(dims) {
  require(shape.tokens > 0 && shape.capacity >= shape.tokens, "a microbatch has tokens, at most as many as planned");
  const std::int64_t elements = (dims.elements() * shape.capacity + shape.tokens - 1) / shape.tokens;
  bytes_ = static_cast<std::size_t>(elements) * size_of(dtype);
}

Kept::~Kept() {
  shed();
}

Tensor Kept::hold() {
  if (!held()) buffer_ = memory_.take(bytes_);
  return buffer_.tensor(dtype_, dims_);
}

Tensor Kept::operator*() const {
  require(held(), "activations are read while they are held");
  return buffer_.tensor(dtype_, dims_);
}

void Kept::shed() {
  if (held()) memory_.give(std::exchange(buffer_, Buffer()));
}

std::size_t Block::kept_bytes(const BatchShape& shape, Dtype compute) const {
  const auto sizes = kept_sizes(shape, compute);
  return std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
}

}  // namespace hearth
