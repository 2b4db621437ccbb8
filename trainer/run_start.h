// Where a run begins: its folder, the lock, and the checkpoint to continue from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/checkpoint.h"
#include "trainer/recipe.h"
#include "trainer/run_folder.h"
#include "trainer/run_lock.h"

namespace hearth {

struct RunStart {
  std::unique_ptr<RunLock> lock;   // held by the first rank
  std::optional<Path> checkpoint;  // the newest that verifies, or the one that was named; every digest was compared
  std::vector<std::string> notes;  // what a person should know
  /// What the folder of a run that goes on is to say of it from now on; the first rank's, to be written once nothing more
  /// can be refused (write_run_record). Of a run without a checkpoint it is written already.
  std::optional<RunRecord> record;
  bool fresh() const { return !checkpoint; }
};

/// Takes the recipe's output_dir: the folder is made or recognised, locked, its recipe held against this one, and the
/// newest good checkpoint found and verified by the first rank. A run of which nothing was trained yet takes the new recipe.
/// Collective. Throws Kind::usage (another recipe's run, naming the keys that differ; a folder of something else; a
/// started run under resume_from_checkpoint: none), Kind::machine (locked, no permission), Kind::integrity
/// (checkpoints, none good).
RunStart start_run(const Recipe& recipe, Communicator& world, const std::string& program);

/// The refusals of start_run that need no lock and no checkpoint read. Nothing is touched.
void check_start(const Recipe& recipe);

/// Every rank has the same text, or Kind::usage on every rank: "rank 0 and rank 3 " and what they do `otherwise`.
void agree(Communicator& world, const std::string& text, const std::string& otherwise);

}  // namespace hearth
