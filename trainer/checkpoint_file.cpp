#include "trainer/checkpoint_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace hearth {

namespace {

constexpr std::size_t piece_bytes = std::size_t{4} << 20;  // hashed while still in the cache

}  // namespace

void fail_system(std::string_view what, const Path& path, int error) {
  const bool refused = error == EACCES || error == EPERM || error == EROFS;
  fail(refused ? Kind::machine : Kind::storage, "cannot {} {}: {}", what, path.string(), std::strerror(error));
}

CheckpointFile::CheckpointFile(const Path& path) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_system("create", path, errno);
}

CheckpointFile::~CheckpointFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void CheckpointFile::write(const void* data, std::size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t put = ::pwrite(descriptor_, from, std::min(piece_bytes, bytes), cursor_);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) fail_system("write", path_, put < 0 ? errno : ENOSPC);
    digest_.add(from, static_cast<std::size_t>(put));
    from += put;
    cursor_ += put;
    bytes -= static_cast<std::size_t>(put);
  }
}

std::string CheckpointFile::commit() {
  // A failed fsync is final: the pages may be gone although a second one would succeed.
  if (::fsync(descriptor_) != 0) fail_system("sync", path_, errno);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail_system("close", path_, errno);
  return digest_.hex();
}

}  // namespace hearth
