// Ranks as processes, over MPI. No header of MPI is seen from here.
#pragma once

#include <memory>
#include <string>

#include "base/memory.h"
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
  /// waited on in any order. Ranks of one host read each other's tensors in memory that they share, where they can
  /// (why_messages()); a communicator that spans hosts sends messages. Each communicator keeps up to 1 MiB a rank for
  /// what is small, 256 KiB for each rank that this one sends to, and a few KiB for ever.
  Communicator& world();
  /// All processes once more, by messages alone, as between hosts. Every rank calls it.
  std::unique_ptr<Communicator> messages();
  /// Host memory whose tensors travel to ranks of the same host by a single copy. (Those in other memory travel by
  /// messages when they are large.) Where ranks do not share memory it is like any other.
  std::shared_ptr<Memory> make_memory();
  /// Why the ranks of this host send messages instead of sharing memory ("memfd_create: Function not implemented");
  /// empty where they share it.
  std::string why_messages() const;
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
