// Speed of what ranks do together, beside copying on the same ranks at the same time and beside Open MPI's own:
//   mpirun -n 2 collectives_bench [--largest MB] [--repeats N] [--ordinary]
// --ordinary: tensors in ordinary memory instead of the memory that ranks of a host share.
//
// S is the size of the whole tensor on each of the n ranks. "copy" is the faster of memcpy and a copy past the caches.
// "share" is the time that it would need for the bytes that a rank must read and write, by the time of the operation,
// where
//   gather, exchange, send    read S, write S                    as copying S
//   reduce_scatter            read S, write S / n                as copying (1 + 1 / n) / 2 * S
//   sum                       read S + (n - 1) / n * S, write S  as copying (3 - 1 / n) / 2 * S
// Every call takes the next stretch of a region larger than the caches, so data come from memory, as after a layer of
// work. Every repeat measures everything in turn; times are medians over repeats.
#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "parallel/mpi.h"
#include "parallel/stream_copy.h"

namespace hearth {
namespace {

constexpr std::size_t smallest_region = std::size_t{128} << 20;

struct Options {
  std::size_t largest = std::size_t{512} << 20;
  int repeats = 7;
  bool ordinary = false;
};

Options options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--ordinary") {
      options.ordinary = true;
    } else if (i + 1 < argc && word == "--largest") {
      options.largest = static_cast<std::size_t>(std::atoi(argv[++i])) << 20;
    } else if (i + 1 < argc && word == "--repeats") {
      options.repeats = std::max(1, std::atoi(argv[++i]));
    } else {
      fail(Kind::usage, "usage: collectives_bench [--largest MB] [--repeats N] [--ordinary]");
    }
  }
  return options;
}

std::string first_of(const char* path, const char* key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(std::min(line.size(), line.find(": ") + 2));
  }
  return "?";
}

std::string load() {
  std::string text;
  std::getline(std::ifstream("/proc/loadavg"), text);
  return text.substr(0, text.find(' '));
}

/// As the program does it: a core of its own for each rank, where there are enough.
void take_core(int rank, int ranks) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  if (ranks > cores) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(rank), &set);
  sched_setaffinity(0, sizeof(set), &set);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// One call at an offset into the region, in elements.
using Call = std::function<void(std::int64_t offset)>;

/// Seconds for one call, from when the first rank begins to when the last one ends (they share a clock); calls walk
/// through `places` stretches.
double seconds(const Call& call, std::int64_t stretch, std::int64_t places, int times) {
  MPI_Barrier(MPI_COMM_WORLD);
  std::array<double, 2> ends{-MPI_Wtime(), 0};
  for (int i = 0; i < times; ++i) call(i % places * stretch);
  ends[1] = MPI_Wtime();
  MPI_Allreduce(MPI_IN_PLACE, ends.data(), 2, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return (ends[0] + ends[1]) / times;
}

struct Measured {
  const char* name;
  double copies;  // bytes to copy instead, as a multiple of S
  Call ours;
  Call peers;  // Open MPI's own; may be none
  std::vector<double> ours_took;
  std::vector<double> peers_took;
};

class Bench {
 public:
  Bench(Communicator& world, Memory& memory, const Options& options)
      : world_(world),
        options_(options),
        region_(std::max(options.largest, smallest_region)),
        a_(memory, region_),
        b_(memory, region_) {
    std::uint64_t state = Key(7).word(static_cast<std::uint64_t>(world.rank()));
    for (float& value : a_.tensor(Dtype::f32, {static_cast<std::int64_t>(region_ / sizeof(float))}).span<float>()) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      value = static_cast<float>(state >> 40) * 0x1p-24F;
    }
    std::memset(b_.data(), 1, b_.bytes());
  }

  void size(std::size_t bytes) {
    const auto n = static_cast<std::int64_t>(world_.size());
    const std::int64_t part = static_cast<std::int64_t>(bytes / sizeof(float)) / n;
    const auto stretch = static_cast<std::int64_t>(bytes / sizeof(float));
    const auto places = static_cast<std::int64_t>(region_ / bytes);
    const auto times = static_cast<int>(std::clamp<std::int64_t>(places / 2, 1, 2000));
    std::vector<Measured> all = operations(part);
    const std::size_t copied = static_cast<std::size_t>(part * n) * sizeof(float);
    const Call by_memcpy = [&](std::int64_t offset) { std::memcpy(at(b_, offset), at(a_, offset), copied); };
    const Call by_stream = [&](std::int64_t offset) { stream_copy(at(a_, offset), at(b_, offset), copied); };
    std::vector<double> memcpys;
    std::vector<double> streams;
    seconds(by_memcpy, stretch, places, 1);
    for (Measured& one : all) seconds(one.ours, stretch, places, 1);
    for (int repeat = 0; repeat < options_.repeats; ++repeat) {
      memcpys.push_back(seconds(by_memcpy, stretch, places, times));
      streams.push_back(seconds(by_stream, stretch, places, times));
      for (Measured& one : all) {
        one.ours_took.push_back(seconds(one.ours, stretch, places, times));
        one.peers_took.push_back(seconds(one.peers, stretch, places, times));
      }
    }
    if (world_.rank() == 0) print(bytes, std::min(median(memcpys), median(streams)), all);
  }

 private:
  std::vector<Measured> operations(std::int64_t part) {
    const auto n = static_cast<std::int64_t>(world_.size());
    const auto ranks = static_cast<double>(n);
    const int next = static_cast<int>((world_.rank() + 1) % n);
    const int previous = static_cast<int>((world_.rank() + n - 1) % n);
    const auto from = [this](std::int64_t offset, std::int64_t count) {
      return Tensor(at(a_, offset), Dtype::f32, {count});
    };
    const auto to = [this](std::int64_t offset, std::int64_t count) {
      return Tensor(at(b_, offset), Dtype::f32, {count});
    };
    const std::int64_t whole = part * n;
    const std::vector<std::int64_t> rows(static_cast<std::size_t>(n), part);
    const std::vector<int> counts(static_cast<std::size_t>(n), static_cast<int>(part));
    const int few = static_cast<int>(part);
    const int many = static_cast<int>(whole);
    Communicator& world = world_;
    return {
        {"gather", 1, [=, &world](std::int64_t i) { world.gather(from(i, part), to(i, whole)).wait(); },
         [=](std::int64_t i) {
           MPI_Allgather(from(i, part).data, few, MPI_FLOAT, to(i, whole).data, few, MPI_FLOAT, MPI_COMM_WORLD);
         }},
        {"reduce_scatter", (1 + 1 / ranks) / 2,
         [=, &world](std::int64_t i) { world.reduce_scatter(from(i, whole), to(i, part), Onto::nothing).wait(); },
         [=](std::int64_t i) {
           MPI_Reduce_scatter(from(i, whole).data, to(i, part).data, counts.data(), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
         }},
        {"sum", (3 - 1 / ranks) / 2, [=, &world](std::int64_t i) { world.sum(to(i, whole)).wait(); },
         [=](std::int64_t i) {
           MPI_Allreduce(MPI_IN_PLACE, to(i, whole).data, many, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
         }},
        {"exchange", 1,
         [=, &world](std::int64_t i) { world.exchange(from(i, whole), rows, to(i, whole), rows).wait(); },
         [=](std::int64_t i) {
           MPI_Alltoall(from(i, whole).data, few, MPI_FLOAT, to(i, whole).data, few, MPI_FLOAT, MPI_COMM_WORLD);
         }},
        {"send", 1,
         [=, &world](std::int64_t i) {
           Ticket sent = world.send(from(i, whole), next);
           world.receive(to(i, whole), previous).wait();
           sent.wait();
         },
         [=](std::int64_t i) {
           MPI_Sendrecv(from(i, whole).data, many, MPI_FLOAT, next, 0, to(i, whole).data, many, MPI_FLOAT, previous, 0,
                        MPI_COMM_WORLD, MPI_STATUS_IGNORE);
         }},
    };
  }

  static void print(std::size_t bytes, double copy, const std::vector<Measured>& all) {
    const auto size = static_cast<double>(bytes);
    const std::string name = bytes < (1U << 20) ? fmt::format("{} KB", bytes >> 10) : fmt::format("{} MB", bytes >> 20);
    for (const Measured& one : all) {
      const double ours = median(one.ours_took);
      const double theirs = median(one.peers_took);
      const auto [least, most] = std::minmax_element(one.ours_took.begin(), one.ours_took.end());
      std::fputs(
          fmt::format("{:>6}  {:<14} {:>10.1f} {:>9.1f} .. {:<9.1f} {:>6.2f} {:>7.2f} {:>6.0f} % {:>7.2f} {:>6.1f}\n",
                      name, one.name, ours * 1e6, *least * 1e6, *most * 1e6, size / ours * 1e-9, size / copy * 1e-9,
                      100 * one.copies * copy / ours, size / theirs * 1e-9, theirs / ours)
              .c_str(),
          stdout);
    }
    std::fflush(stdout);
  }

  static float* at(const Buffer& buffer, std::int64_t offset) { return static_cast<float*>(buffer.data()) + offset; }

  Communicator& world_;
  Options options_;
  std::size_t region_;
  Buffer a_;
  Buffer b_;
};

void run(MpiSession& session, const Options& options) {
  Communicator& world = session.world();
  take_core(world.rank(), world.size());
  if (const std::string why = session.why_messages(); !why.empty()) {
    fail(Kind::machine, "ranks cannot share memory here ({})", why);
  }
  const std::shared_ptr<Memory> memory = options.ordinary ? std::make_shared<HostMemory>() : session.make_memory();
  if (world.rank() == 0) {
    std::fputs(fmt::format("{} ranks on {} cores of {}; {}; {}; load {}; medians of {}\n", world.size(),
                           std::thread::hardware_concurrency(), first_of("/proc/cpuinfo", "model name"),
                           MpiSession::library_version(), options.ordinary ? "ordinary memory" : "shared memory",
                           load(), options.repeats)
                   .c_str(),
               stdout);
    std::puts("     S                       us   least .. most         S/us  copy    share     MPI  times MPI");
  }
  Bench bench(world, *memory, options);
  for (std::size_t bytes = 1024; bytes <= options.largest; bytes *= 8) bench.size(bytes);
  if (options.largest >= (std::size_t{512} << 20)) bench.size(std::size_t{512} << 20);
  if (world.rank() == 0) std::printf("load %s at the end\n", load().c_str());
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  hearth::MpiSession session;
  try {
    hearth::run(session, hearth::options_of(argc, argv));
  } catch (const hearth::Error& error) {
    if (session.world().rank() == 0) std::fprintf(stderr, "%s\n", error.text().c_str());
    session.abort(hearth::exit_code(error.kind()));
  }
}
