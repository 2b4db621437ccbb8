// Ranks as threads of one process: for tests, and for one process that drives several devices.
#pragma once

#include <functional>
#include <memory>

#include "parallel/communicator.h"

namespace hearth {

/// A world of `size` ranks. Operations are carried out by whichever waiting rank comes first, so a rank that waits late
/// holds nobody up.
class ThreadWorld {
 public:
  explicit ThreadWorld(int size);
  ~ThreadWorld();
  ThreadWorld(const ThreadWorld&) = delete;
  ThreadWorld& operator=(const ThreadWorld&) = delete;

  /// Calls body(communicator) on every rank, each on a thread of its own, and returns when all have returned. When one
  /// throws, every rank that waits for another is released with an Error, and the first exception is thrown here. After
  /// that the world is spent.
  void run(const std::function<void(Communicator&)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth
