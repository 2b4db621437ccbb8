// A small job in a folder of its own: rows of ids with uneven numbers of targets, a tied model, clipping that bites.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "support/shared.h"
#include "trainer/memory_plan.h"
#include "trainer/recipe.h"
#include "trainer/run.h"

namespace hearth::test {

struct JobOptions {
  int threads = 1;
  int zero_stage = 0;
  int accumulation = 4;  // times ranks = 4 microbatches a step
  std::int64_t recompute = 0;
  std::string dtype = "f32";
  std::int64_t steps = 30;
  std::int64_t save_steps = 500;
  int batch = 2;                  // rows of a microbatch
  int epochs = 0;                 // instead of steps, when above 0
  std::vector<std::string> more;  // further lines of the recipe
};

/// What a finished job leaves, as bits.
struct JobResult {
  std::map<std::string, std::vector<float>> weights;  // and moments, by role and name
  std::vector<double> losses;                         // by step
  std::vector<double> norms;
  bool operator==(const JobResult&) const = default;
};

/// Writes rows.jsonl once: 24 rows of 5 to 23 tokens, some with few targets.
void write_rows(const Path& folder);
/// Runs it on this communicator, in `folder`/`name`; the data lie in `folder`. Collective.
RunEnd run_job(Communicator& world, const Path& folder, const std::string& name, const JobOptions& options,
               const std::function<void(RunContext&)>& change = {});
/// The same on threads as ranks.
RunEnd run_on_threads(int ranks, const Path& folder, const std::string& name, const JobOptions& options,
                      const std::function<void(RunContext&)>& change = {});
JobResult result_of(const Path& folder, const std::string& name);
/// Bytes of tensors, at most, of the first rank.
std::uint64_t peak_of(const Path& folder, const std::string& name);
/// What is planned for it beforehand, on `ranks` ranks.
MemoryPlan plan_of(const Path& folder, const JobOptions& options, int ranks);

}  // namespace hearth::test
