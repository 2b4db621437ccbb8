// Every axis with every other against one rank, once: meshes of 1, 2, 4 or 8 ranks x families x dtypes, schedules, ZeRO
// stages, shards, recomputation and orders of sums. Not a test of the suite (that runs a covering part); start it as
//     mesh_matrix thread                     (ranks as threads, meshes of 1, 2, 4 and 8)
//     mpirun -n 4 mesh_matrix mpi            (ranks as processes, the meshes of as many ranks as are started)
// Prints a line for each case with its largest errors, and ends with 1 where a bit differs that may not, or an error is
// larger than rounding explains.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "mesh/mesh_run.h"
#include "parallel/mpi.h"
#include "support/worse.h"

namespace hearth {
namespace {

using test::MeshResult;
using test::MeshRun;

constexpr auto one_f_one_b = PipelineSchedule::one_f_one_b;
constexpr auto interleaved = PipelineSchedule::interleaved;
constexpr auto zero_bubble = PipelineSchedule::zero_bubble;

struct Place {
  MeshShape mesh;
  int zero_stage;
  PipelineSchedule schedule = one_f_one_b;
  int chunks = 1;
  std::int64_t recompute = 0;
  SumOrder order = SumOrder::fixed;
};

std::vector<Place> places_of(int ranks) {
  switch (ranks) {
    case 1:
      return {{{}, 0}, {{}, 3, one_f_one_b, 1, 1}, {{}, 0, one_f_one_b, 1, 0, SumOrder::fast}};
    case 2:
      return {{{.data = 2}, 0},
              {{.data = 2}, 1, one_f_one_b, 1, 0, SumOrder::fast},
              {{.data = 2}, 2, one_f_one_b, 1, 1},
              {{.data = 2}, 3},
              {{.tensor = 2}, 0},
              {{.tensor = 2}, 0, one_f_one_b, 1, 1},
              {{.context = 2}, 0},
              {{.context = 2}, 3, one_f_one_b, 1, 2},
              {{.pipe = 2}, 0},
              {{.pipe = 2}, 3, interleaved, 2},
              {{.pipe = 2}, 0, zero_bubble, 1, 2}};
    case 4:
      return {{{.data = 4}, 3},
              {{.data = 4, .shard = 2}, 3, one_f_one_b, 1, 1},
              {{.data = 4, .shard = 2}, 1, one_f_one_b, 1, 0, SumOrder::fast},
              {{.tensor = 4}, 0},
              {{.context = 4}, 2},
              {{.pipe = 4}, 0},
              {{.pipe = 4}, 0, zero_bubble},
              {{.data = 2, .tensor = 2}, 0},
              {{.data = 2, .tensor = 2}, 3, one_f_one_b, 1, 1},
              {{.data = 2, .context = 2}, 1},
              {{.data = 2, .context = 2, .shard = 2}, 3},
              {{.pipe = 2, .data = 2}, 0},
              {{.pipe = 2, .data = 2}, 3, interleaved, 2},
              {{.pipe = 2, .data = 2}, 2, zero_bubble, 1, 1},
              {{.pipe = 2, .data = 2, .shard = 1}, 1},
              {{.context = 2, .tensor = 2}, 0},
              {{.pipe = 2, .tensor = 2}, 0},
              {{.pipe = 2, .tensor = 2}, 0, interleaved, 2, 1},
              {{.pipe = 2, .context = 2}, 3},
              {{.pipe = 2, .context = 2}, 1, zero_bubble, 1, 0, SumOrder::fast}};
    case 8:
      return {{{.data = 8, .shard = 4}, 3},
              {{.pipe = 8}, 0, zero_bubble},
              {{.data = 2, .tensor = 4}, 3},
              {{.data = 4, .tensor = 2, .shard = 2}, 2},
              {{.data = 4, .context = 2}, 3},
              {{.context = 4, .tensor = 2}, 1},
              {{.pipe = 4, .tensor = 2}, 0},
              {{.pipe = 4, .data = 2}, 3, interleaved, 2},
              {{.pipe = 2, .data = 2, .tensor = 2}, 3},
              {{.pipe = 2, .data = 2, .tensor = 2}, 0, zero_bubble, 1, 1, SumOrder::fast},
              {{.pipe = 2, .data = 2, .context = 2}, 3, interleaved, 2},
              {{.pipe = 2, .context = 2, .tensor = 2}, 2, zero_bubble},
              {{.data = 2, .context = 2, .tensor = 2}, 3},
              {{.data = 2, .context = 2, .tensor = 2, .shard = 2}, 3, one_f_one_b, 1, 2}};
    default:
      return {};
  }
}

using Runner = std::function<MeshResult(const MeshRun&)>;

/// Runs every case of so many ranks. On the first rank: compares and prints, and returns how many are wrong.
int compare(const char* kind, int ranks, bool first, const Runner& run, const Runner& alone) {
  int wrong = 0;
  int cases = 0;
  test::MeshErrors largest;
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const std::string family : {"llama", "qwen2", "qwen3", "mistral"}) {
      MeshRun one{.family = family, .dtype = dtype};
      const MeshResult oracle = alone(one);
      for (const Place& place : places_of(ranks)) {
        one.mesh = place.mesh;
        one.zero_stage = place.zero_stage;
        one.schedule = place.schedule;
        one.chunks = place.chunks;
        one.recompute = place.recompute;
        one.order = place.order;
        const MeshResult result = run(one);
        if (!first) continue;
        const test::MeshErrors e = test::errors_of(result, oracle);
        const std::string told = test::difference(one, result, oracle);
        const bool bits = test::allowed_of(one) == test::Allowed::nothing;
        ++cases;
        wrong += told.empty() ? 0 : 1;
        if (dtype == Dtype::f32) {
          largest = {test::worse(largest.logits, e.logits), test::worse(largest.loss, e.loss),
                     test::worse(largest.gradient, e.gradient), test::worse(largest.norm, e.norm),
                     test::worse(largest.weight, e.weight)};
        }
        fmt::print(
            "{:<6} {:<7} {:<4} {:<42} ZeRO {} {:<11} recompute {} {:<5} logits {:.1e} loss {:.1e} gradient {:.1e} norm "
            "{:.1e} weight {:.1e}  {}\n",
            kind, family, name_of(dtype), place.mesh.text(), place.zero_stage,
            place.mesh.pipe > 1 ? name_of(place.schedule) : "", place.recompute,
            place.order == SumOrder::fast ? "fast" : "fixed", e.logits, e.loss, e.gradient, e.norm, e.weight,
            !told.empty() ? "WRONG"
            : bits        ? "bit-equal"
                          : "within the bound");
        if (!told.empty()) fmt::print("{}", told);
        std::fflush(stdout);
      }
    }
  }
  if (first) {
    const test::MeshErrors b = test::bounds_of({});
    fmt::print(
        "{} ranks as {}: {} cases on {} meshes, {} wrong; largest errors in f32: logits {:.1e} ({:.0e}), loss {:.1e} "
        "({:.0e}), gradient {:.1e} ({:.0e}), norm {:.1e} ({:.0e}), weight {:.1e} ({:.0e})\n",
        ranks, kind, cases, places_of(ranks).size(), wrong, largest.logits, b.logits, largest.loss, 5 * b.loss,
        largest.gradient, b.gradient, largest.norm, 5 * b.norm, largest.weight, b.weight);
  }
  return wrong;
}

bool on_threads() {
  int wrong = 0;
  for (const int ranks : {1, 2, 4, 8}) wrong += compare("thread", ranks, true, test::run_threads, test::run_alone);
  return wrong == 0;
}

bool on_processes() {
  MpiSession session;
  Communicator& world = session.world();
  const bool first = world.rank() == 0;
  if (places_of(world.size()).empty()) {
    if (first) std::fputs("mesh_matrix mpi: start it on 1, 2, 4 or 8 ranks\n", stderr);
    return false;
  }
  std::int64_t wrong = compare(
      "mpi", world.size(), first, [&](const MeshRun& run) { return test::run_rank(run, world); },
      [&](const MeshRun& run) {
        MeshResult result;
        if (first) result = test::run_alone(run);
        world.barrier();
        return result;
      });
  world.sum(Tensor(&wrong, Dtype::i64, {1})).wait();
  return wrong == 0;
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "mpi") == 0) return hearth::on_processes() ? 0 : 1;
  if (argc == 2 && std::strcmp(argv[1], "thread") == 0) return hearth::on_threads() ? 0 : 1;
  std::fputs("usage: mesh_matrix thread, or mpirun -n 1|2|4|8 mesh_matrix mpi\n", stderr);
  return 2;
}
