// What the process finds around it: the environment (read here and nowhere else), ranks, threads, the device.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/backend.h"
#include "parallel/communicator.h"
#include "parallel/mpi.h"
#include "trainer/run.h"

namespace hearth {

/// What was read from the environment at start.
struct Environment {
  bool under_launcher = false;  // started by mpirun or srun
  int rank = 0;                 // of all, as the launcher says
  int local_ranks = 1;          // ranks on this host, as the launcher says
  int local_rank = 0;
  std::optional<int> omp_threads;  // OMP_NUM_THREADS
  bool waits_passively = false;    // OMP_WAIT_POLICY=passive
  Isa isa = Isa::best;             // no wider than ONEDNN_MAX_CPU_ISA (or DNNL_MAX_CPU_ISA) allows
  bool colors = false;             // standard output is a terminal that shows them
  bool launcher_terminal = false;  // the launcher's own output is a terminal
  bool meets = false;              // started by a launcher, and asked for what all ranks come together for
  char** arguments = nullptr;      // of main
  std::unique_ptr<MpiSession>
      session;  // once ranks are needed; lives as long as main, so that an error can end the job
};

Environment read_environment(char** arguments) noexcept;

/// Cores this process may use on its host, divided by the ranks there: the default of threads_per_rank.
int default_threads(const Environment& environment);

/// What is noted where so many threads of each rank here are more than the cores; else empty.
std::string threads_note(const Environment& environment, int threads);

/// Starts MPI and runs `before` on every rank: what it throws on one, every rank throws (see all_or_none). Every rank comes
/// here once, from World or, when it cannot, to say why. REQUIRES: environment.meets, and no session yet.
void meet(Environment& environment, const std::function<void()>& before);

/// For what is done once, whoever starts it: refuses to be one of several ranks.
void come_alone(std::string_view verb, Environment& environment);

/// The ranks of one run. Alone (no launcher) it is a world of one and MPI is not touched.
class World {
 public:
  /// When `threads` times the ranks of this host is more than its cores, waiting threads must not spin: the process
  /// starts itself anew with OMP_WAIT_POLICY=passive before MPI is.
  World(Environment& environment, int threads);

  Communicator& all() { return *all_; }
  /// The first rank prints and writes what exists once.
  bool first() const { return all_->rank() == 0; }
  int size() const { return all_->size(); }

 private:
  std::unique_ptr<Communicator> alone_;
  Communicator* all_ = nullptr;
};

/// The CPU with this many threads. Products of bf16 are done alike on all ranks: natively where each processor can, unless
/// it is said how.
ChosenDevice make_device(const Environment& environment, World& world, int threads,
                         std::optional<Bf16Products> products = std::nullopt);

}  // namespace hearth
