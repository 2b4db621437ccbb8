#include "base/arena.h"

#include <algorithm>

namespace hearth {

namespace {
constexpr std::size_t smallest_block = std::size_t{1} << 16;
}  // namespace

std::size_t Arena::before(std::size_t block) const {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < block; ++i) bytes += blocks_[i].bytes();
  return bytes;
}

std::size_t Arena::room(Dtype dtype, const Dims& dims) {
  return Memory::room(static_cast<std::size_t>(dims.elements()) * size_of(dtype));
}

void Arena::reserve(std::size_t bytes) {
  require(block_ == 0 && used_ == 0, "an arena is reserved while nothing of it is in use");
  if (bytes == 0 || (blocks_.size() == 1 && blocks_.front().bytes() >= bytes)) return;
  blocks_.clear();  // first, so that old and new are never held together
  blocks_.emplace_back(memory_, bytes);
}

Tensor Arena::take(Dtype dtype, Dims dims) {
  const std::size_t needed = room(dtype, dims);
  while (block_ < blocks_.size() && used_ + needed > blocks_[block_].bytes()) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) blocks_.emplace_back(memory_, std::max(needed, smallest_block));
  void* data = static_cast<std::byte*>(blocks_[block_].data()) + used_;
  used_ += needed;
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
