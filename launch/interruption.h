// Signals that ask a run to save and end.
#pragma once

#include <atomic>
#include <csignal>
#include <thread>

namespace hearth {

/// While it lives, a thread of its own waits for SIGUSR1 and, where that is asked for, Ctrl-C (SIGINT) and SIGTERM. No other
/// thread ever handles them: oneDNN computes with memory below the stack pointer, where the kernel would put a handler's
/// frame, so that a handler in the middle of a product destroys numbers and memory.
///
/// Make it before MPI or OpenMP start threads: what the calling thread starts from then on leaves these signals to it.
class Interruption {
 public:
  /// SIGUSR1 alone, or all three; of the latter two the second one ends the process at once, as if nobody waited for it.
  enum class Of { usr1, usr1_and_terminal };
  explicit Interruption(Of of);
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  /// True once a signal came.
  const std::atomic<bool>& came() const { return came_; }

 private:
  void wait();

  sigset_t signals_{};
  sigset_t before_{};
  std::atomic<bool> came_ = false;
  std::atomic<bool> over_ = false;
  std::thread waiting_;
};

}  // namespace hearth
