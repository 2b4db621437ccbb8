#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace hearth {

namespace {

Kind kind_of(int error) {
  return error == EACCES || error == EPERM || error == EROFS ? Kind::machine : Kind::storage;
}

[[noreturn]] void fail_writing(const char* what, const Path& path, int error) {
  fail(kind_of(error), "{} {}: {}", what, path.string(), std::strerror(error));
}

/// Opens a regular file for reading and returns its descriptor and size. A pipe that nobody writes to is not waited for.
std::pair<int, std::size_t> open_for_reading(const Path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    const int error = errno;
    fail(error == EACCES ? Kind::machine : Kind::data, "cannot read {}: {}", path.string(), std::strerror(error));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    fail(Kind::data, "cannot read {}: it is {}", path.string(),
         S_ISDIR(status.st_mode) ? "a folder" : "no regular file (a pipe or a device)");
  }
  return {descriptor, static_cast<std::size_t>(status.st_size)};
}

Path parent_of(const Path& path) {
  return path.has_parent_path() ? path.parent_path() : Path(".");
}

}  // namespace

InFile::InFile(const Path& path) : path_(path) {
  const auto [descriptor, size] = open_for_reading(path);
  descriptor_ = descriptor;
  size_ = size;
}

InFile::~InFile() {
  ::close(descriptor_);
}

void InFile::read(std::size_t offset, void* into, std::size_t bytes) const {
  auto* to = static_cast<char*>(into);
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor_, to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(Kind::data, "cannot read {}: {}", path_.string(), std::strerror(errno));
    if (got == 0) fail(Kind::data, "{} ends at byte {}, {} bytes early", path_.string(), offset, bytes);
    to += got;
    offset += static_cast<std::size_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
}

MappedFile::MappedFile(const Path& path) : path_(path) {
  const auto [descriptor, size] = open_for_reading(path);
  size_ = size;
  if (size > 0) data_ = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int error = errno;
  ::close(descriptor);
  if (data_ == MAP_FAILED) fail(Kind::machine, "cannot map {}: {}", path.string(), std::strerror(error));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

namespace {

/// Where a link leads; a device, a pipe or a folder must not be renamed over.
Path target_of(const Path& path) {
  std::error_code error;
  const Path target = std::filesystem::is_symlink(path, error) ? std::filesystem::weakly_canonical(path, error) : path;
  const auto status = std::filesystem::status(target, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    fail(Kind::usage, "{} is no regular file: name a file, new or old, to write to", path.string());
  }
  return target;
}

}  // namespace

OutFile::OutFile(const Path& path) : path_(target_of(path)) {
  temporary_ = parent_of(path_) / fmt::format(".{}.{}.tmp", path_.filename().string(), ::getpid());
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_writing("cannot write", path, errno);
}

OutFile::~OutFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutFile::write(const void* data, std::size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, from, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_writing("cannot write", path_, errno);
    from += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void OutFile::commit() {
  if (::fsync(descriptor_) != 0) fail_writing("cannot sync", path_, errno);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail_writing("cannot close", path_, errno);
  rename_durably(temporary_, path_);
  temporary_.clear();
}

std::string read_text(const Path& path) {
  const InFile file(path);
  std::string text(file.size(), '\0');
  file.read(0, text.data(), text.size());
  return text;
}

void write_file(const Path& path, std::string_view text) {
  OutFile file(path);
  file.write(text);
  file.commit();
}

void sync_path(const Path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail_writing("cannot sync", path, errno);
  const int synced = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  if (synced != 0) fail_writing("cannot sync", path, error);
}

void rename_durably(const Path& from, const Path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_writing("cannot rename to", to, errno);
  sync_path(parent_of(to));
}

Path plain(const Path& path) {
  Path result;
  for (const Path& piece : path) {
    if (!piece.empty() && piece != ".") result /= piece;
  }
  return result.empty() && !path.empty() ? Path(".") : result;
}

void make_folder(const Path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return;
  const bool misnamed =
      error.value() == ENOTDIR || error.value() == EEXIST || error.value() == ENAMETOOLONG || error.value() == EINVAL;
  fail(misnamed ? Kind::usage : kind_of(error.value()), "cannot create the folder {}: {}{}", path.string(),
       error.message(), misnamed ? "; name another" : "");
}

Error as_error(const std::filesystem::filesystem_error& error) {
  return {kind_of(error.code().value()),
          fmt::format("cannot look at {}: {}", error.path1().string(), error.code().message())};
}

}  // namespace hearth
