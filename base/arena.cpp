#include "base/arena.h"

#include <algorithm>

namespace hearth {

namespace {
constexpr std::size_t alignment = 64;
constexpr std::size_t smallest_block = std::size_t{1} << 16;
}  // namespace

std::size_t Arena::before(std::size_t block) const {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < block; ++i) bytes += blocks_[i].bytes();
  return bytes;
}

Tensor Arena::take(Dtype dtype, Dims dims) {
  const std::size_t bytes = static_cast<std::size_t>(dims.elements()) * size_of(dtype);
  const std::size_t room = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  while (block_ < blocks_.size() && used_ + room > blocks_[block_].bytes()) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) blocks_.emplace_back(memory_, std::max(room, smallest_block));
  void* data = static_cast<std::byte*>(blocks_[block_].data()) + used_;
  used_ += room;
  largest_ = std::max(largest_, before(block_) + used_);
  return Tensor(data, dtype, dims, memory_.device());
}

void Arena::rewind(Mark mark) {
  block_ = mark.block;
  used_ = mark.used;
  if (block_ == 0 && used_ == 0 && blocks_.size() > 1) {
    blocks_.clear();
    blocks_.emplace_back(memory_, largest_);
  }
}

}  // namespace hearth
