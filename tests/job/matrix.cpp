// The whole matrix, once: ZeRO 0-3 x recomputation x threads x dtype on the ranks it is started with, against one rank,
// 30 steps with clipping, uneven targets and a tied model. Not a test of the suite (that runs a covering part); start
// it as
//     job_matrix thread 4            (ranks as threads)
//     mpirun -n 4 job_matrix mpi     (ranks as processes)
// with 1, 2 or 4 ranks. Prints a line for each case with the peak memory of a rank and what was planned, and ends with 1
// when a bit differs or the two are apart by more than 3 %.
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "job/job.h"
#include "parallel/mpi.h"
#include "parallel/thread_world.h"

namespace hearth {
namespace {

constexpr int microbatches = 4;

struct Case {
  int stage, threads;
  std::int64_t recompute;
  std::string dtype;
  std::string name() const { return fmt::format("zero{}-recompute{}-threads{}-{}", stage, recompute, threads, dtype); }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string dtype : {"f32", "bf16"}) {
    for (const int stage : {0, 1, 2, 3}) {
      for (const std::int64_t recompute : {0, 1}) {
        for (const int threads : {1, 2}) all.push_back({stage, threads, recompute, dtype});
      }
    }
  }
  return all;
}

test::JobOptions options_of(const Case& c, int ranks) {
  return {.threads = c.threads,
          .zero_stage = c.stage,
          .accumulation = microbatches / ranks,
          .recompute = c.recompute,
          .dtype = c.dtype};
}

using Run = std::function<void(const std::string& name, const test::JobOptions&)>;

/// On the first rank: runs, compares, prints. `run` is collective.
bool compare(const Path& folder, const char* kind, int ranks, bool first, const Run& run, const Run& alone) {
  bool equal = true;
  for (const std::string dtype : {"f32", "bf16"}) alone("one-" + dtype, options_of({0, 1, 0, dtype}, 1));
  for (const Case& c : cases()) {
    run(c.name(), options_of(c, ranks));
    if (!first) continue;
    const auto result = test::result_of(folder, c.name());
    const bool same = result == test::result_of(folder, "one-" + c.dtype);
    equal = equal && same;
    const auto peak = static_cast<double>(test::peak_of(folder, c.name()));
    const auto planned = static_cast<double>(test::plan_of(folder, options_of(c, ranks), ranks).total());
    const bool as_planned = std::abs(peak - planned) <= 0.03 * planned;
    equal = equal && as_planned;
    fmt::print(
        "{:<6} {} x {}  ZeRO {}  recompute {}  threads {}  {:<4}  {:<9}  peak {:.1f} KiB a rank, planned {:.1f}{}\n",
        kind, ranks, microbatches / ranks, c.stage, c.recompute, c.threads, c.dtype, same ? "bit-equal" : "DIFFERENT",
        peak / 1024, planned / 1024, as_planned ? "" : " OFF BY MORE THAN 3 %");
    std::fflush(stdout);
  }
  return equal;
}

bool on_threads(int ranks) {
  const test::Folder folder;
  test::write_rows(folder.path());
  return compare(
      folder.path(), "thread", ranks, true,
      [&](const std::string& name, const test::JobOptions& o) { test::run_on_threads(ranks, folder.path(), name, o); },
      [&](const std::string& name, const test::JobOptions& o) { test::run_on_threads(1, folder.path(), name, o); });
}

bool on_processes() {
  MpiSession session;
  Communicator& world = session.world();
  const bool first = world.rank() == 0;
  std::int64_t pid = first ? ::getpid() : 0;
  world.sum(Tensor(&pid, Dtype::i64, {1})).wait();
  const Path folder = std::filesystem::temp_directory_path() / fmt::format("hearth_matrix_{}", pid);
  if (first) {
    make_folder(folder);
    test::write_rows(folder);
  }
  world.barrier();
  std::int64_t wrong = compare(
                           folder, "mpi", world.size(), first,
                           [&](const std::string& name, const test::JobOptions& o) {
                             test::run_job(world, folder, name, o);
                             world.barrier();
                           },
                           [&](const std::string& name, const test::JobOptions& o) {
                             if (first) test::run_on_threads(1, folder, name, o);
                             world.barrier();
                           })
                           ? 0
                           : 1;
  world.sum(Tensor(&wrong, Dtype::i64, {1})).wait();
  if (first) std::filesystem::remove_all(folder);
  return wrong == 0;
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "mpi") == 0) return hearth::on_processes() ? 0 : 1;
  const int ranks = argc == 3 && std::strcmp(argv[1], "thread") == 0 ? std::atoi(argv[2]) : 0;
  if (ranks != 1 && ranks != 2 && ranks != 4) {
    std::fputs("usage: job_matrix thread 1|2|4, or mpirun -n 1|2|4 job_matrix mpi\n", stderr);
    return 2;
  }
  return hearth::on_threads(ranks) ? 0 : 1;
}
