// An HDF5 file that is described in memory and written by somebody else.
//
// HDF5 1.10 does not survive a full disk: a file that it could not flush stays open inside of it, and at the end of the
// process it tries again, prints, and may crash. So HDF5 never writes to disk here. It describes datasets into an
// image, which holds only the pages that HDF5 wrote (a few per dataset, whatever the size of the data), and the places
// it set aside for elements are known by H5Dget_offset.
#pragma once

#include <hdf5.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>

namespace hearth {

class Hdf5Image {
 public:
  /// Bytes of the file, with the places set aside.
  std::uint64_t size() const { return size_; }
  /// into = `bytes` bytes from `offset`; what HDF5 did not write is zero.
  void read(std::uint64_t offset, void* into, std::size_t bytes) const;
  void write(std::uint64_t offset, const void* from, std::size_t bytes);
  void grow(std::uint64_t size) { size_ = size > size_ ? size : size_; }

 private:
  static constexpr std::size_t page_bytes = 4096;
  std::unordered_map<std::uint64_t, std::array<char, page_bytes>> pages_;
  std::uint64_t size_ = 0;
};

/// The image of a new HDF5 file that `describe` filled. Holds the lock of HDF5 meanwhile. `describe` returns whether
/// all went well; throws Kind::internal when it did not, or when HDF5 cannot close the file: nothing but a lack of
/// memory or a defect of hearth makes it fail. `oldest_reader` is the oldest HDF5 that has to understand the file.
Hdf5Image describe_hdf5(const std::function<bool(hid_t file)>& describe, H5F_libver_t oldest_reader);

}  // namespace hearth
