// How long planning takes: plan_bench RECIPES/machines/h100.yaml CONFIG.json ... Every mesh of 8, 16, 64 and 1024 devices,
// rows of 4096 tokens, four a device; one line a config, the longest at the end.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "model/hf/config.h"
#include "trainer/mesh_plan.h"

namespace hearth {
namespace {

double seconds_of_plan(const ModelConfig& config, const Machine& machine, int devices) {
  const auto start = std::chrono::steady_clock::now();
  PlanRequest request;
  request.row_tokens = 4096;
  request.rows = 4 * devices;
  Planner(config, request, machine, machine.memory).all(devices);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run(const Machine& machine, const std::vector<Path>& configs) {
  double longest = 0;
  fmt::print("{:<40} {:>9} {:>9} {:>9} {:>9}   ms, every mesh of so many {}\n", "", 8, 16, 64, 1024, machine.name);
  for (const Path& path : configs) {
    fmt::print("{:<40}", path.filename().string());
    try {
      const ModelConfig config = hf::read_config(path);
      for (const int devices : {8, 16, 64, 1024}) {
        const double seconds = seconds_of_plan(config, machine, devices);
        longest = std::max(longest, seconds);
        fmt::print(" {:>9.1f}", 1e3 * seconds);
      }
      fmt::print("\n");
    } catch (const Error& error) {
      fmt::print(" refused: {}\n", error.text());
    }
  }
  fmt::print("longest: {:.0f} ms\n", 1e3 * longest);
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: plan_bench MACHINE.yaml CONFIG.json ...\n");
    return 2;
  }
  hearth::run(hearth::read_machine(argv[1]), {argv + 2, argv + argc});
  return 0;
}
