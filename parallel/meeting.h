// One operation of a ThreadWorld: the ranks post what they bring, and whoever waits first does the work.
//
// Invariants
//   1. A meeting works only after every participant has posted; its parts are independent of each other.
//   2. A part touches the memory of all participants; a participant leaves (wait or abandon returns) only when no part
//   is
//      running, and none starts after the world failed.
//   3. Everything here is guarded by the world's mutex, except the inside of a running part.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "parallel/checked_communicator.h"

namespace hearth {

/// Thrown on a rank that waits for one which failed: never the cause itself.
class Released : public Error {
 public:
  using Error::Error;
};

/// What all groups of a world share.
struct WorldLock {
  std::mutex mutex;
  std::condition_variable changed;
  bool failed = false;
  std::string failure;  // why, for those who are released

  void fail_with(const std::string& reason);  // REQUIRES: mutex held
};

/// What one rank brings. `to` and `from` are counts of rows, for exchange alone.
struct Posted {
  Operation operation = Operation::barrier;
  Tensor in = {};
  Tensor out = {};
  Onto onto = Onto::nothing;
  std::vector<std::int64_t> to = {};
  std::vector<std::int64_t> from = {};
};

class Meeting {
 public:
  Meeting(std::shared_ptr<WorldLock> world, int participants);

  /// REQUIRES: the world's mutex held; each participant posts once.
  void post(int participant, Posted posted);
  bool all_posted() const { return posted_ == static_cast<int>(places_.size()); }

  /// Returns when every part is done, doing parts itself. Throws Released when the world failed.
  void wait();
  void abandon() noexcept;

 private:
  bool finished() const { return all_posted() && done_ == parts_; }
  void leave(std::unique_lock<std::mutex>& lock);
  std::string mismatch() const;  // empty when what was posted fits together
  void work(int part) const;
  void gather(std::size_t part) const;
  void sum(std::size_t part) const;
  void reduce_scatter(std::size_t part) const;
  void exchange(std::size_t part) const;

  std::shared_ptr<WorldLock> world_;
  std::vector<Posted> places_;
  int posted_ = 0;
  int parts_ = 0;
  int next_ = 0;  // parts begun
  int done_ = 0;  // parts ended
};

}  // namespace hearth
