// Files: read at an offset, mapped, written whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hearth {

using Path = std::filesystem::path;

/// A regular file opened for reading. Throws Kind::data naming the path and the reason (missing, a folder, a pipe or a
/// device, no permission).
class InFile {
 public:
  explicit InFile(const Path& path);
  ~InFile();
  InFile(const InFile&) = delete;
  InFile& operator=(const InFile&) = delete;
  std::size_t size() const { return size_; }
  /// Exactly `bytes` bytes from `offset`; a file that became shorter is an error.
  void read(std::size_t offset, void* into, std::size_t bytes) const;

 private:
  Path path_;
  int descriptor_ = -1;
  std::size_t size_ = 0;
};

/// A file mapped read-only and privately.
class MappedFile {
 public:
  explicit MappedFile(const Path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }
  const Path& path() const { return path_; }

 private:
  Path path_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Writes a file under a temporary name beside `path`; commit() syncs it, renames it to `path` and syncs the folder.
/// Without commit() nothing of it remains. Every failure throws Kind::storage (disk full, I/O) or Kind::machine
/// (permission) and leaves what was at `path` untouched. A link stays: the file that it leads to is written. What is no
/// regular file (a device, a pipe, a folder) is refused with Kind::usage.
class OutFile {
 public:
  explicit OutFile(const Path& path);
  ~OutFile();
  OutFile(const OutFile&) = delete;
  OutFile& operator=(const OutFile&) = delete;
  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  Path path_;
  Path temporary_;
  int descriptor_ = -1;
};

/// The same place, plainly written: without `.`, doubled slashes and a slash at the end. `..` stays, because what stands before
/// it may be a link. Nothing stays nothing.
Path plain(const Path& path);

/// The whole file as text. Throws Kind::data.
std::string read_text(const Path& path);
/// OutFile, write, commit.
void write_file(const Path& path, std::string_view text);
/// fsync of a file or a folder. Throws Kind::storage.
void sync_path(const Path& path);
/// Renames and syncs the parent folder of `to`. Throws Kind::storage.
void rename_durably(const Path& from, const Path& to);
/// Creates a folder and its parents. Throws Kind::machine (permission), Kind::usage (something on the way is a file, or the
/// name cannot be one) or Kind::storage.
void make_folder(const Path& path);
/// What the standard library says about a path, as an error of hearth: Kind::machine (permission) or Kind::storage.
Error as_error(const std::filesystem::filesystem_error& error);

}  // namespace hearth
