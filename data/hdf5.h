// The little of HDF5 that hearth uses, with errors as exceptions and handles that close themselves.
#pragma once

#include <hdf5.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "data/hdf5_lock.h"

namespace hearth::hdf5 {

/// Owns one HDF5 identifier; the function closes it.
class Handle {
 public:
  Handle(hid_t id, herr_t (*closer)(hid_t)) : id_(id), close_(closer) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  ~Handle() {
    if (id_ >= 0) close();
  }
  operator hid_t() const { return id_; }
  /// Closes now and says whether that went well: a file that cannot be closed was not written.
  bool close() {
    const Lock lock;
    return close_(std::exchange(id_, -1)) >= 0;
  }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// A file to be written: one-dimensional datasets of little-endian integers, stored end to end and uncompressed,
/// without timestamps, so that equal contents are equal bytes. Failures throw Kind::storage naming the file.
class OutputFile {
 public:
  explicit OutputFile(const Path& path);
  void attribute(const std::string& name, const std::string& value);
  void attribute(const std::string& name, std::int64_t value);
  void integers(const std::string& name, std::span<const std::int64_t> values);
  /// A dataset of i32 of which `fill(first, count)` gives pieces in order; they must stay valid until the next call.
  template <class Fill>
  void tokens(const std::string& name, std::int64_t count, Fill fill);
  /// A dataset of i32 whose elements lie in the datasets of the same name in other files of the same folder, in order.
  struct Piece {
    std::string file;
    std::int64_t count;
  };
  void virtual_tokens(const std::string& name, const std::vector<Piece>& pieces);
  /// Closes the file and syncs it to disk.
  void close();

 private:
  Handle create(const std::string& name, hid_t type, std::int64_t count, hid_t properties);
  void write(hid_t dataset, std::int64_t first, std::span<const std::int32_t> values, const std::string& name);
  void check(bool done, const std::string& what) const;

  Path path_;
  Handle file_;
};

/// A file that was verified against its manifest before. Everything that does not look as OutputFile writes it is
/// refused with Kind::integrity, naming file and dataset.
class InputFile {
 public:
  explicit InputFile(const Path& path);
  std::string text(const std::string& attribute) const;
  std::int64_t number(const std::string& attribute) const;
  std::vector<std::int64_t> integers(const std::string& name) const;
  /// Where the elements of an i32 dataset lie in the file, in bytes, and how many they are.
  struct Extent {
    std::uint64_t offset = 0;
    std::int64_t count = 0;
  };
  Extent tokens(const std::string& name) const;

 private:
  Handle open(const std::string& name) const;
  std::int64_t count_of(const Handle& dataset, const std::string& name, hid_t type, std::size_t size) const;
  [[noreturn]] void refuse(const std::string& what) const;

  Path path_;
  std::uint64_t bytes_;
  Handle file_;
};

template <class Fill>
void OutputFile::tokens(const std::string& name, std::int64_t count, Fill fill) {
  Handle dataset = create(name, H5T_STD_I32LE, count, H5P_DEFAULT);
  constexpr std::int64_t most = std::int64_t{1} << 20;
  for (std::int64_t first = 0; first < count; first += most) {
    write(dataset, first, fill(first, std::min(most, count - first)), name);
  }
  check(dataset.close(), "dataset " + name);
}

}  // namespace hearth::hdf5
