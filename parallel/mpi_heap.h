// Memory that the ranks of one host read from each other.
//
// Every process has one heap: a file without a name (memfd), nominally as large as the machine's memory. Pages exist
// once they are written and go back to the system when they are released. The others map all of it, to read.
//
// Invariants
//   1. No rank writes into another's memory.
//   2. The file has no name, lies in no folder and cannot be cut: it is gone with the last process that has it, however
//      that ends; /dev/shm and its size do not matter.
//   3. A heap belongs to one thread.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/memory.h"

namespace hearth::mpi {

class SharedHeap {
 public:
  /// Every rank of `host` calls it; all of them run on one host. Null on all where it fails on one: then `reason` says
  /// why, in words for people.
  static std::shared_ptr<SharedHeap> make(MPI_Comm host, std::string& reason);
  ~SharedHeap();
  SharedHeap(const SharedHeap&) = delete;
  SharedHeap& operator=(const SharedHeap&) = delete;

  int rank() const { return rank_; }  // among the ranks of this host

  /// Zeros, aligned to a page; null when no stretch of the heap is long enough.
  std::byte* take(std::size_t bytes);
  void give(const void* pointer) noexcept;
  bool holds(const void* pointer) const;

  static constexpr std::uint64_t outside = ~std::uint64_t{0};
  /// Where `bytes` bytes at `data` lie in this heap, or `outside`.
  std::uint64_t offset_of(const void* data, std::size_t bytes) const;
  /// What lies there in the heap of the rank-th process of this host.
  const std::byte* at(int rank, std::uint64_t offset) const { return maps_[static_cast<std::size_t>(rank)] + offset; }

 private:
  struct Address;
  SharedHeap() = default;
  std::string open(int ranks);  // empty when all went well, as below
  std::string map_peers(MPI_Comm host);
  std::string map(const Address& address);

  int file_ = -1;
  int rank_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t token_ = 0;  // the first word of the file
  std::byte* data_ = nullptr;
  std::vector<const std::byte*> maps_;  // of every rank; this one's is data_
  std::vector<std::size_t> map_bytes_;
  std::map<std::size_t, std::size_t> free_;  // by where they begin: lengths, neighbours joined
  std::map<std::size_t, std::size_t> taken_;
};

/// Host memory whose larger pieces lie in a heap: tensors there travel to ranks of the same host by one copy, from where
/// they are to where they go.
class SharedMemory final : public Memory {
 public:
  explicit SharedMemory(std::shared_ptr<SharedHeap> heap) : heap_(std::move(heap)) {}
  Device device() const override { return Device::host; }

 protected:
  void* allocate(std::size_t bytes) override;
  void release(void* pointer) noexcept override;

 private:
  std::shared_ptr<SharedHeap> heap_;
};

}  // namespace hearth::mpi
