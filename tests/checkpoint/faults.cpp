#include "checkpoint/faults.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <mutex>

namespace hearth::test::faults {
namespace {

Plan plan;
std::atomic<bool> armed{false};
std::atomic<int> counted{0};

std::mutex mutex;
std::vector<std::string> log;

void note(const std::string& line) {
  if (!armed) return;
  const std::lock_guard<std::mutex> held(mutex);
  log.push_back(line);
}

/// The path that a descriptor was opened by.
std::string path_of(int file) {
  std::array<char, 4096> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  const ssize_t bytes = ::readlink(link.c_str(), path.data(), path.size());
  return bytes > 0 ? std::string(path.data(), static_cast<std::size_t>(bytes)) : std::string("?");
}

[[noreturn]] void die() {
  ::syscall(SYS_kill, ::getpid(), SIGKILL);
  for (;;) ::pause();
}

/// One call of the system, watched.
template <class... Args>
long call(const char* name, long number, Args... args) {
  const bool counts =
      armed && (plan.calls.empty() || std::find(plan.calls.begin(), plan.calls.end(), name) != plan.calls.end());
  const int here = counts ? counted++ : -1;
  const bool hit = counts && (here == plan.at || (plan.later_too && here > plan.at));
  if (hit && plan.what == What::kill) die();
  if (hit && plan.what == What::fail) {
    errno = plan.error;
    return -1;
  }
  return ::syscall(number, args...);
}

}  // namespace

void arm(const Plan& next) {
  log.clear();
  plan = next;
  counted = 0;
  armed = true;
}

int disarm() {
  armed = false;
  return counted;
}

std::vector<std::string> seen() {
  return log;
}

}  // namespace hearth::test::faults

using hearth::test::faults::call;
using hearth::test::faults::note;
using hearth::test::faults::path_of;

extern "C" {

ssize_t write(int file, const void* data, size_t bytes) {
  return call("write", SYS_write, file, data, bytes);
}
ssize_t pwrite(int file, const void* data, size_t bytes, off_t at) {
  return call("write", SYS_pwrite64, file, data, bytes, at);
}
ssize_t pwrite64(int file, const void* data, size_t bytes, off_t at) {
  return call("write", SYS_pwrite64, file, data, bytes, at);
}
int ftruncate(int file, off_t bytes) noexcept {
  return static_cast<int>(call("write", SYS_ftruncate, file, bytes));
}
int ftruncate64(int file, off_t bytes) noexcept {
  return static_cast<int>(call("write", SYS_ftruncate, file, bytes));
}
int fsync(int file) {
  note("fsync " + path_of(file));
  return static_cast<int>(call("fsync", SYS_fsync, file));
}
int close(int file) {
  return static_cast<int>(call("close", SYS_close, file));
}
int mkdir(const char* path, mode_t mode) noexcept {
  return static_cast<int>(call("mkdir", SYS_mkdir, path, mode));
}
int rename(const char* from, const char* to) noexcept {
  note(std::string("rename ") + from + " " + to);
  return static_cast<int>(call("rename", SYS_rename, from, to));
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  note(std::string("rename ") + from + " " + to);
  return static_cast<int>(call("rename", SYS_renameat2, from_folder, from, to_folder, to, flags));
}
int unlink(const char* path) noexcept {
  note(std::string("unlink ") + path);
  return static_cast<int>(call("unlink", SYS_unlink, path));
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  note(std::string("unlink ") + path);
  return static_cast<int>(call("unlink", SYS_unlinkat, folder, path, flags));
}
int open(const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const unsigned mode = (flags & O_CREAT) != 0 ? va_arg(more, unsigned) : 0;
  va_end(more);
  return static_cast<int>(call("open", SYS_openat, AT_FDCWD, path, flags, mode));
}
int open64(const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const unsigned mode = (flags & O_CREAT) != 0 ? va_arg(more, unsigned) : 0;
  va_end(more);
  return static_cast<int>(call("open", SYS_openat, AT_FDCWD, path, flags, mode));
}

}  // extern "C"
