// A file of a checkpoint while it is written: every write is checked, everything passes the digest once, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/sha384.h"

namespace hearth {

/// A new, empty file. It is opened before anybody else writes to it, so that an error of writing back what others
/// (HDF5) wrote reaches this descriptor's fsync. Failures throw Kind::storage, or Kind::machine (permission), naming
/// the file.
class CheckpointFile {
 public:
  explicit CheckpointFile(const Path& path);
  ~CheckpointFile();
  CheckpointFile(const CheckpointFile&) = delete;
  CheckpointFile& operator=(const CheckpointFile&) = delete;

  /// Bytes written so far.
  std::int64_t cursor() const { return cursor_; }
  /// Writes at the cursor, which moves on, and adds to the digest.
  void write(const void* data, std::size_t bytes);
  /// Syncs and closes; the SHA-384 of all that was written.
  std::string commit();

 private:
  Path path_;
  int descriptor_ = -1;
  std::int64_t cursor_ = 0;
  Sha384 digest_;
};

/// Throws what a failure of the system means: Kind::machine for permissions, else Kind::storage. "cannot WHAT PATH:
/// reason".
[[noreturn]] void fail_system(std::string_view what, const Path& path, int error);
}  // namespace hearth
