// Ranks as processes, over MPI. No header of MPI is seen from here.
#pragma once

#include <memory>
#include <string>

#include "parallel/communicator.h"

namespace hearth {

/// MPI from beginning to end: one object, on the stack of main, that outlives every communicator. MPI is called from
/// the thread that made the session only (MPI_THREAD_FUNNELED).
class MpiSession {
 public:
  /// Throws Kind::machine when MPI does not come up.
  MpiSession();
  /// Ends MPI together with the other ranks; while an exception is under way it aborts the job instead, because the
  /// other ranks would wait for ever.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  /// All processes of the job. Whatever ranks wait for, every operation under way makes progress, so tickets may be
  /// waited on in any order. A communicator keeps about 2 MiB for pieces of sums under way.
  Communicator& world();
  /// The name of the host, as MPI gives it.
  std::string processor_name() const;
  /// "Open MPI v4.1.4, ...", in one line.
  static std::string library_version();
  /// Takes the whole job down with an exit code.
  [[noreturn]] void abort(int code);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth
