// One job in one output folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/file.h"

namespace hearth {

/// Who holds a lock: enough to tell whether that process still lives. A process id alone is used again sooner or later.
struct LockOwner {
  std::string host;
  std::string boot;  // of the machine, /proc/sys/kernel/random/boot_id
  std::int64_t pid = 0;
  std::int64_t started = 0;  // of the process, in clock ticks since boot
  bool operator==(const LockOwner&) const = default;

  static LockOwner self();
  /// Whether the owner certainly lives: this machine, this boot, a process of that id that started then.
  bool lives_here() const;
  std::string text() const;  // "process 123 on host x"
};

/// Holds run.lock in a folder until it dies: the kernel's lock on the file (flock, gone with the process) and the owner
/// in it. The file stays, empty, when the lock is given back. A copy of the process (fork) holds the lock as well.
class RunLock {
 public:
  /// Throws Kind::machine naming the owner when another job holds the folder, and when there is no permission or the
  /// file system cannot lock. The owner that a killed job left in the file is proven dead by the free lock: see `note`.
  explicit RunLock(const Path& output_dir);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// What a person should know: that a job before this one ended without giving its lock back. Empty otherwise.
  const std::string& note() const { return note_; }

 private:
  Path path_;
  int descriptor_ = -1;
  std::string note_;
};

}  // namespace hearth
