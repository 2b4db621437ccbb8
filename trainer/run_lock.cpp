#include "trainer/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"

namespace hearth {

namespace {

/// The start time of a process, field 22 of /proc/PID/stat, or nothing when there is none of that id. The second field,
/// the program's name in parentheses, may hold anything.
std::optional<std::int64_t> start_of(std::int64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  if (!std::getline(file, text) || text.rfind(')') == std::string::npos) return {};
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string field;
  for (int i = 3; i < 22; ++i) fields >> field;
  std::int64_t started = 0;
  return fields >> started ? std::optional(started) : std::nullopt;
}

std::string owner_to_text(const LockOwner& owner) {
  const nlohmann::json json = {
      {"host", owner.host}, {"boot", owner.boot}, {"pid", owner.pid}, {"started", owner.started}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// Nothing when the text is not what a lock holds (empty: given back; torn: its writer was killed).
std::optional<LockOwner> owner_from(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return {};
  try {
    return LockOwner{json.at("host"), json.at("boot"), json.at("pid"), json.at("started")};
  } catch (const nlohmann::json::exception&) {
    return {};
  }
}

std::string content_of(int descriptor) {
  std::array<char, 4096> text{};
  const ssize_t got = ::pread(descriptor, text.data(), text.size(), 0);
  return got > 0 ? std::string(text.data(), static_cast<std::size_t>(got)) : std::string();
}

[[noreturn]] void fail_held(const Path& path, const std::optional<LockOwner>& owner) {
  fail(Kind::machine, "{} is in use by another job ({}): wait for it, or take another output_dir",
       path.parent_path().string(), owner ? owner->text() : "its lock does not say whose");
}

}  // namespace

LockOwner LockOwner::self() {
  LockOwner owner;
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) == 0) owner.host = name.data();
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id") >> std::ws, owner.boot);
  owner.pid = ::getpid();
  owner.started = start_of(owner.pid).value_or(0);
  return owner;
}

bool LockOwner::lives_here() const {
  const LockOwner me = self();
  return host == me.host && boot == me.boot && started != 0 && start_of(pid) == started;
}

std::string LockOwner::text() const {
  return fmt::format("process {} on host {}", pid, host);
}

RunLock::RunLock(const Path& output_dir) : path_(output_dir / "run.lock") {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor_ < 0) fail(Kind::machine, "cannot lock {}: {}", path_.string(), std::strerror(errno));
  try {
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) fail_held(path_, owner_from(content_of(descriptor_)));
      fail(Kind::machine, "cannot lock {}: {}; put output_dir on a file system that can", path_.string(),
           std::strerror(errno));
    }
    const std::string content = content_of(descriptor_);
    const std::optional<LockOwner> before = owner_from(content);
    // The kernel's lock is free although its owner lives: it does not hold here, so the owner's word does.
    if (before && before->lives_here()) fail_held(path_, before);
    if (!content.empty()) {
      note_ = fmt::format("the job before ({}) ended without giving its lock back: its lock was broken",
                          before ? before->text() : "its name is torn");
    }
    const std::string text = owner_to_text(LockOwner::self());
    const bool written = ::ftruncate(descriptor_, 0) == 0 &&
                         ::pwrite(descriptor_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
    if (!written) fail(Kind::storage, "cannot write {}: {}", path_.string(), std::strerror(errno));
  } catch (const Error&) {
    ::close(descriptor_);
    throw;
  }
}

RunLock::~RunLock() {
  // Emptied before it is given back. When that fails the next job finds a dead owner and says so: nothing is lost.
  const bool emptied = ::ftruncate(descriptor_, 0) == 0;
  static_cast<void>(emptied);
  ::close(descriptor_);
}

}  // namespace hearth
