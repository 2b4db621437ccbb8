// Operations under way in this process, and the engine that moves all of them on while one is waited for.
//
// Invariant: advance() never blocks, so a rank that waits for one operation serves every other one of its process
// meanwhile, whichever communicator it belongs to; ranks may wait in different orders.
#pragma once

#include <memory>
#include <vector>

#include "parallel/communicator.h"

namespace hearth::mpi {

/// Throws Kind::machine with MPI's own words unless `code` is success.
void check(int code, const char* call);

enum class Progress { none, some, done };

class Task {
 public:
  virtual ~Task() = default;
  /// Moves on without waiting, by one piece where there is much to do; not called again once done.
  virtual Progress advance() = 0;
  /// This rank leaves the operation in the middle: its arguments are not touched by this rank any more.
  virtual void give_up() noexcept {}
  /// Whether it can never end, because this rank gave up an operation before it.
  virtual bool stuck() const { return false; }

 private:
  friend class Engine;
  bool done_ = false;
  bool given_up_ = false;
};

/// All tasks of a process.
class Engine {
 public:
  /// `cores_suffice`: every rank of this host has a core, so what is waited for may come while this one looks.
  explicit Engine(bool cores_suffice);

  /// Starts a task; the ticket waits for it.
  static Ticket start(std::shared_ptr<Engine> engine, std::shared_ptr<Task> task);

 private:
  class Work;
  void wait(const Task& task);
  static Progress advance(Task& task);
  bool advance_all();

  std::vector<std::shared_ptr<Task>> tasks_;  // in order of their start
  int patience_;                              // looks in vain before the core is given away
};

}  // namespace hearth::mpi
