#include "base/memory.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace hearth {

namespace {
constexpr std::size_t alignment = 64;
}  // namespace

std::size_t Memory::room(std::size_t bytes) {
  return (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
}

void* Memory::take(std::size_t bytes) {
  void* pointer = allocate(room(bytes));
  if (pointer == nullptr) {
    fail(Kind::machine,
         "out of memory: {} more bytes were asked for beside the {} in use; use a smaller "
         "per_device_train_batch_size or cutoff_len, gradient_checkpointing: true, or more ranks",
         bytes, now_);
  }
  now_ += room(bytes);
  peak_ = std::max(peak_, now_);
  ++takes_;
  return pointer;
}

void Memory::give(void* pointer, std::size_t bytes) noexcept {
  if (pointer == nullptr) return;
  release(pointer);
  now_ -= room(bytes);
}

void* HostMemory::allocate(std::size_t bytes) {
  return std::aligned_alloc(alignment, bytes);
}

void HostMemory::release(void* pointer) noexcept {
  std::free(pointer);
}

Buffer::Buffer(Memory& memory, std::size_t bytes) : memory_(&memory), data_(memory.take(bytes)), bytes_(bytes) {}

Buffer::Buffer(Buffer&& other) noexcept
    : memory_(other.memory_), data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (memory_ != nullptr) memory_->give(data_, bytes_);
}

Tensor Buffer::tensor(Dtype dtype, Dims dims) const {
  require(static_cast<std::size_t>(dims.elements()) * size_of(dtype) <= bytes_, "a tensor fits into its buffer");
  return Tensor(data_, dtype, dims, device());
}

}  // namespace hearth
