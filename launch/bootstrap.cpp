#include "launch/bootstrap.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string_view>
#include <vector>

#include "launch/version.h"
#include "trainer/run_start.h"
#include "trainer/together_of.h"

namespace hearth {

namespace {

std::optional<int> number(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || value < 1 || value > 100000) return std::nullopt;
  return static_cast<int>(value);
}

std::string_view text_of(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

Isa widest_allowed() {
  std::string_view limit = text_of("ONEDNN_MAX_CPU_ISA");
  if (limit.empty()) limit = text_of("DNNL_MAX_CPU_ISA");
  if (limit == "SSE41") return Isa::sse41;
  if (limit == "AVX" || limit == "AVX2" || limit == "AVX2_VNNI") return Isa::avx2;
  return Isa::best;
}

struct Process {
  std::string name;
  pid_t parent = 0;
};

Process process_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);  // 12 (mpirun) S 11 ...: the name may hold anything, parentheses too
  const std::size_t open = line.find('(');
  const std::size_t close = line.rfind(')');
  Process process;
  if (open == std::string::npos || close == std::string::npos || close + 4 >= line.size()) return process;
  process.name = line.substr(open + 1, close - open - 1);
  process.parent = static_cast<pid_t>(std::strtol(line.c_str() + close + 4, nullptr, 10));
  return process;
}

/// The launcher's process: the parent, or where scripts stand between, the ancestor that bears a launcher's name.
pid_t launcher() {
  const pid_t parent = ::getppid();
  pid_t pid = parent;
  for (int generation = 0; pid > 1 && generation < 8; ++generation) {
    const Process process = process_of(pid);
    for (const std::string_view name :
         {"mpirun", "mpiexec", "orterun", "orted", "prterun", "prted", "slurmstepd", "srun"}) {
      if (process.name.starts_with(name)) return pid;
    }
    pid = process.parent;
  }
  return parent;
}

/// The cores that this job may use on this host: under a launcher those of the launcher itself, because it binds each rank to
/// one core by default, even a single rank.
std::vector<std::size_t> allowed_cores(bool under_launcher) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(under_launcher ? launcher() : 0, sizeof set, &set) != 0) return {};
  std::vector<std::size_t> cores;
  for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

/// Threads want this rank's share of the host's cores.
void spread_over_cores(const Environment& environment) {
  if (!environment.under_launcher) return;
  const auto cores = allowed_cores(true);
  const auto ranks = static_cast<std::size_t>(std::max(1, environment.local_ranks));
  const auto rank = static_cast<std::size_t>(std::max(0, environment.local_rank));
  const std::size_t share = cores.size() / ranks;
  cpu_set_t mine;
  CPU_ZERO(&mine);
  for (std::size_t i = 0; i < cores.size(); ++i) {
    if (share == 0 || (i >= rank * share && i < (rank + 1) * share)) CPU_SET(cores[i], &mine);
  }
  if (!cores.empty()) sched_setaffinity(0, sizeof mine, &mine);  // refused: the launcher's binding stays
}

int cores_of_host(bool under_launcher) {
  return std::max(1, static_cast<int>(allowed_cores(under_launcher).size()));
}

/// Whether the launcher (mpirun) writes to a terminal: under it, a rank's own isatty answers for a pipe or
/// pseudo-terminal.
bool launcher_writes_to_terminal() {
  const std::string path = fmt::format("/proc/{}/fd/1", launcher());
  char target[256];
  const ssize_t length = ::readlink(path.c_str(), target, sizeof target - 1);
  if (length <= 0) return false;
  const std::string_view name(target, static_cast<std::size_t>(length));
  return name.substr(0, 9) == "/dev/pts/" || name.substr(0, 8) == "/dev/tty";
}

/// "AMD EPYC (family 26, model 2)".
std::string processor() {
  std::map<std::string, std::string> first;  // of /proc/cpuinfo: what it says of the first processor
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    first[key] = line.substr(std::min(line.find_first_not_of(" \t", colon + 1), line.size()));
  }
  return fmt::format("{} (family {}, model {})", first["model name"], first["cpu family"], first["model"]);
}

/// What of a device decides the bits: processor, instruction set in use, oneDNN. The description holds the last two.
std::string kind_of(const Backend& backend) {
  const std::string text = backend.description();  // cpu, 2 threads, avx512, oneDNN 2.6.3, bf16 products native
  const std::size_t first = text.find(", ", text.find(", ") + 1) + 2;
  return processor() + ", " + text.substr(first, text.rfind(", ") - first);
}

/// What every rank must have been asked alike. Of train it is the verb: it compares recipes, which may lie elsewhere on
/// another host, by what is in them.
std::string words_of(const Environment& environment) {
  std::string words;
  for (char** word = environment.arguments + 1; *word != nullptr; ++word) {
    words += std::string(*word) + '\n';
    if (words == "train\n") break;
  }
  return words;
}

}  // namespace

Environment read_environment(char** arguments) noexcept {
  Environment e;
  e.arguments = arguments;
  const auto world = number("OMPI_COMM_WORLD_SIZE");
  const auto tasks = number("PMI_SIZE").value_or(number("SLURM_NTASKS").value_or(1));
  e.under_launcher =
      world.has_value() || number("PMI_SIZE").has_value() || std::getenv("PMIX_RANK") != nullptr || tasks > 1;
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
    const char* text = std::getenv(name);
    if (text == nullptr) continue;
    e.rank = std::atoi(text);
    break;
  }
  e.local_ranks = number("OMPI_COMM_WORLD_LOCAL_SIZE").value_or(number("SLURM_NTASKS_PER_NODE").value_or(1));
  const char* local = std::getenv("OMPI_COMM_WORLD_LOCAL_RANK");
  if (local == nullptr) local = std::getenv("SLURM_LOCALID");
  e.local_rank = local == nullptr ? 0 : std::atoi(local);
  e.omp_threads = number("OMP_NUM_THREADS");
  std::string policy(text_of("OMP_WAIT_POLICY"));
  std::transform(policy.begin(), policy.end(), policy.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  e.waits_passively = policy == "passive";
  e.isa = widest_allowed();
  e.launcher_terminal = e.under_launcher ? launcher_writes_to_terminal() : ::isatty(STDOUT_FILENO) == 1;
  e.colors = e.launcher_terminal && std::getenv("NO_COLOR") == nullptr && text_of("TERM") != "dumb";
  return e;
}

int default_threads(const Environment& environment) {
  return environment.omp_threads.value_or(
      std::max(1, cores_of_host(environment.under_launcher) / std::max(1, environment.local_ranks)));
}

std::string threads_note(const Environment& environment, int threads) {
  const int cores = cores_of_host(environment.under_launcher);
  const int ranks = std::max(1, environment.local_ranks);
  if (threads <= 1 || threads * ranks <= cores) return "";
  return fmt::format(
      "threads_per_rank: {} x {} rank(s) of this host is more than its {} core(s): they wait for each other", threads,
      ranks, cores);
}

void meet(Environment& environment, const std::function<void()>& before) {
  environment.session = std::make_unique<MpiSession>();
  all_or_none(together_of(environment.session->world()), before);
}

void come_alone(std::string_view verb, Environment& environment) {
  if (!environment.meets) return;
  meet(environment, [&] {
    if (environment.session->world().size() == 1) return;
    fail(Kind::usage, "{} runs on one rank: start it without mpirun", verb);
  });
}

World::World(Environment& environment, int threads) {
  if (threads > 1 && threads * environment.local_ranks > cores_of_host(environment.under_launcher) &&
      !environment.waits_passively) {
    ::setenv("OMP_WAIT_POLICY", "passive", 1);
    ::execv("/proc/self/exe", environment.arguments);  // returns only when it cannot; then waiting is merely slower
  }
  spread_over_cores(environment);
  if (environment.under_launcher) {
    meet(environment, [] {});
    all_ = &environment.session->world();
    agree(*all_, versions(),
          "run different versions of hearth or of its libraries: `hearth --version` on each host says which; install "
          "the same on all");
    agree(*all_, words_of(environment),
          "were started with different words: start every rank with the same verb, files and options");
    const std::string why = environment.session->why_messages();
    if (first() && environment.local_ranks > 1 && !why.empty()) {
      std::fputs(fmt::format("hearth: the ranks of this host cannot share memory ({}); they send messages, which is "
                             "slower\n",
                             why)
                     .c_str(),
                 stderr);
    }
  } else {
    alone_ = make_self_communicator();
    all_ = alone_.get();
  }
}

ChosenDevice make_device(const Environment& environment, World& world, int threads,
                         std::optional<Bf16Products> products) {
  CpuOptions options;
  options.threads = threads;
  options.isa = environment.isa;
  if (!products) {
    std::int64_t having = has_native_bf16_products() ? 1 : 0;
    world.all().sum(Tensor(&having, Dtype::i64, {1})).wait();
    products = having == world.size() ? Bf16Products::native : Bf16Products::widened;
  }
  options.bf16_products = *products;
  if (environment.session != nullptr) options.memory = environment.session->make_memory();
  ChosenDevice device{nullptr, *products};
  all_or_none(together_of(world.all()), [&] { device.backend = make_cpu_backend(options); });
  device.kind = kind_of(*device.backend);
  return device;
}

}  // namespace hearth
