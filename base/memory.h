// Where bytes come from. Every byte of tensors passes here, so the peak that a run reports is the allocator's own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor.h"

namespace hearth {

/// Memory of one device, counted. Not thread safe: one Memory belongs to one rank.
class Memory {
 public:
  virtual ~Memory() = default;
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// At least `bytes` bytes, aligned to 64; contents undefined. Throws Kind::machine when there is no more.
  void* take(std::size_t bytes);
  /// What a request of `bytes` counts for: whole alignments, at least one.
  static std::size_t room(std::size_t bytes);
  void give(void* pointer, std::size_t bytes) noexcept;

  virtual Device device() const = 0;
  std::size_t now() const { return now_; }
  std::size_t peak() const { return peak_; }
  std::uint64_t takes() const { return takes_; }  // how often memory was taken so far: constant once a run is warm
  void reset_peak() { peak_ = now_; }

 protected:
  virtual void* allocate(std::size_t bytes) = 0;  // null when there is no more
  virtual void release(void* pointer) noexcept = 0;

 private:
  std::size_t now_ = 0;
  std::size_t peak_ = 0;
  std::uint64_t takes_ = 0;
};

/// Host memory; pages are touched first by whoever writes first.
class HostMemory final : public Memory {
 public:
  Device device() const override { return Device::host; }

 protected:
  void* allocate(std::size_t bytes) override;
  void release(void* pointer) noexcept override;
};

/// Owns bytes of a Memory, which must outlive it.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Memory& memory, std::size_t bytes);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }
  /// The first dims.elements() elements. REQUIRES: they fit.
  Tensor tensor(Dtype dtype, Dims dims) const;
  Device device() const { return memory_ == nullptr ? Device::host : memory_->device(); }

 private:
  Memory* memory_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace hearth
