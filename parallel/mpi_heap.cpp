#include "parallel/mpi_heap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>

#include "parallel/mpi_engine.h"

namespace hearth::mpi {

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t most_of_a_host = std::size_t{16} << 40;   // of the addresses of a process, for all heaps
constexpr std::size_t smallest_shared = std::size_t{64} << 10;  // less travels through slots anyway
constexpr std::size_t alignment = 64;

std::string because(const char* call) {
  return fmt::format("{}: {}", call, std::strerror(errno));
}

std::size_t memory_of_machine() {
  return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// Where the system counts every page that it has promised, a page of a file that is not there when it is written to
/// ends the process (SIGBUS), and no call says so before.
bool promises_are_counted() {
  int mode = 0;
  std::ifstream("/proc/sys/vm/overcommit_memory") >> mode;
  return mode == 2;
}

/// Whether no file may be as large: growing one beyond the limit would be a signal (SIGXFSZ).
bool limited(std::size_t bytes) {
  rlimit limit{};
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < bytes;
}

int nameless_file() {
  constexpr unsigned not_executable = 8;  // MFD_NOEXEC_SEAL, which older headers and systems lack
  const int file = memfd_create("hearth", MFD_CLOEXEC | MFD_ALLOW_SEALING | not_executable);
  return file >= 0 || errno != EINVAL ? file : memfd_create("hearth", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

}  // namespace

/// How another process finds the file, and knows that it found the right one.
struct SharedHeap::Address {
  std::int64_t process = 0;
  std::int64_t file = -1;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::uint64_t token = 0;
};

std::shared_ptr<SharedHeap> SharedHeap::make(MPI_Comm host, std::string& reason) {
  int ranks = 0;
  check(MPI_Comm_size(host, &ranks), "MPI_Comm_size");
  std::shared_ptr<SharedHeap> heap(new SharedHeap);
  check(MPI_Comm_rank(host, &heap->rank_), "MPI_Comm_rank");
  reason = heap->open(ranks);
  const std::string unseen = heap->map_peers(host);
  if (reason.empty()) reason = unseen;
  int well = reason.empty() ? 1 : 0;
  check(MPI_Allreduce(MPI_IN_PLACE, &well, 1, MPI_INT, MPI_MIN, host), "MPI_Allreduce");
  if (well != 0) return heap;
  if (reason.empty()) reason = "another rank of this host could not";
  return nullptr;
}

std::string SharedHeap::open(int ranks) {
  bytes_ = std::min(memory_of_machine(), most_of_a_host / static_cast<std::size_t>(ranks)) / page * page;
  if (promises_are_counted()) return "vm.overcommit_memory is 2";
  if (limited(bytes_)) return "the size of files is limited (ulimit -f)";
  file_ = nameless_file();
  if (file_ < 0) return because("memfd_create");
  if (ftruncate(file_, static_cast<off_t>(bytes_)) != 0) return because("ftruncate");
  if (fcntl(file_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return because("F_ADD_SEALS");
  void* data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_, 0);
  if (data == MAP_FAILED) return because("mmap");
  data_ = static_cast<std::byte*>(data);
  std::random_device random;
  token_ = (static_cast<std::uint64_t>(random()) << 32) | random();
  std::memcpy(data_, &token_, sizeof(token_));
  free_[page] = bytes_ - page;
  return {};
}

std::string SharedHeap::map_peers(MPI_Comm host) {
  Address mine;
  struct stat status {};
  if (data_ != nullptr && fstat(file_, &status) == 0) {
    mine = {getpid(), file_, status.st_dev, status.st_ino, bytes_, token_};
  }
  int ranks = 0;
  check(MPI_Comm_size(host, &ranks), "MPI_Comm_size");
  std::vector<Address> all(static_cast<std::size_t>(ranks));
  check(MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, all.data(), sizeof(mine), MPI_BYTE, host), "MPI_Allgather");
  for (std::size_t peer = 0; peer < all.size(); ++peer) {
    if (all[peer].file < 0) return "another rank of this host could not";
    if (peer == static_cast<std::size_t>(rank_)) {
      maps_.push_back(data_);
      map_bytes_.push_back(0);
      continue;
    }
    if (std::string reason = map(all[peer]); !reason.empty()) return reason;
  }
  return {};
}

std::string SharedHeap::map(const Address& address) {
  const std::string path = fmt::format("/proc/{}/fd/{}", address.process, address.file);
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return because(path.c_str());
  if (status.st_dev != address.device || status.st_ino != address.inode) {
    return fmt::format("{} is another process's file here", path);
  }
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return because(path.c_str());
  void* data = mmap(nullptr, address.bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, file, 0);
  std::string reason = data == MAP_FAILED ? because("mmap") : "";
  close(file);
  if (!reason.empty()) return reason;
  maps_.push_back(static_cast<const std::byte*>(data));
  map_bytes_.push_back(address.bytes);
  std::uint64_t token = 0;
  std::memcpy(&token, data, sizeof(token));
  return token == address.token ? "" : fmt::format("{} is another process's file here", path);
}

SharedHeap::~SharedHeap() {
  for (std::size_t peer = 0; peer < maps_.size(); ++peer) {
    if (map_bytes_[peer] != 0) munmap(const_cast<std::byte*>(maps_[peer]), map_bytes_[peer]);
  }
  if (data_ != nullptr) munmap(data_, bytes_);
  if (file_ >= 0) close(file_);
}

std::byte* SharedHeap::take(std::size_t bytes) {
  const std::size_t length = (std::max<std::size_t>(bytes, 1) + page - 1) / page * page;
  const auto fits = [&](const auto& stretch) { return stretch.second >= length; };
  const auto found = std::find_if(free_.begin(), free_.end(), fits);
  if (found == free_.end()) return nullptr;
  const auto [begin, whole] = *found;
  free_.erase(found);
  if (whole > length) free_[begin + length] = whole - length;
  taken_[begin] = length;
  return data_ + begin;
}

void SharedHeap::give(const void* pointer) noexcept {
  const auto found = taken_.find(static_cast<std::size_t>(static_cast<const std::byte*>(pointer) - data_));
  if (found == taken_.end()) return;
  auto [begin, length] = *found;
  taken_.erase(found);
  fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin), static_cast<off_t>(length));
  const auto after = free_.lower_bound(begin);
  if (after != free_.end() && after->first == begin + length) {
    length += after->second;
    free_.erase(after);
  }
  const auto place = free_.lower_bound(begin);
  if (place != free_.begin()) {
    const auto before = std::prev(place);
    if (before->first + before->second == begin) {
      before->second += length;
      return;
    }
  }
  free_[begin] = length;
}

bool SharedHeap::holds(const void* pointer) const {
  return offset_of(pointer, 1) != outside;
}

std::uint64_t SharedHeap::offset_of(const void* data, std::size_t bytes) const {
  const auto* first = static_cast<const std::byte*>(data);
  if (std::less<>()(first, data_) || !std::less<>()(first, data_ + bytes_)) return outside;
  const auto offset = static_cast<std::size_t>(first - data_);
  return bytes <= bytes_ - offset ? offset : outside;
}

void* SharedMemory::allocate(std::size_t bytes) {
  if (bytes >= smallest_shared) {
    if (std::byte* place = heap_->take(bytes); place != nullptr) return place;
  }
  return std::aligned_alloc(alignment, bytes);
}

void SharedMemory::release(void* pointer) noexcept {
  if (heap_->holds(pointer)) {
    heap_->give(pointer);
  } else {
    std::free(pointer);
  }
}

}  // namespace hearth::mpi
