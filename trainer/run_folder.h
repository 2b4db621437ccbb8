// The output folder of one run: whose it is, and what run it holds.
#pragma once

#include <optional>
#include <string>

#include "base/file.h"

namespace hearth {

/// What run.json of an output folder says.
struct RunRecord {
  std::string recipe;   // the resolved recipe, YAML
  std::string program;  // name, version and commit of the program that wrote it
  std::string created;  // when, UTC: of the first start
};

/// Makes `output_dir` with its parents, or takes what is there: an empty folder, or one that holds a run of hearth,
/// whose record is returned so that the caller compares the recipes. Then the caller takes the RunLock and, in a fresh
/// folder, calls write_run_record. Throws Kind::usage naming what it found when the folder is somebody else's (not
/// empty, and no run in it) or is no folder; Kind::machine when it may not be created or written to; what run_record
/// throws.
std::optional<RunRecord> make_run_folder(const Path& output_dir);

/// The same of a folder that is left as it is, made or not: every refusal, without the doing.
std::optional<RunRecord> look_at_run_folder(const Path& output_dir);

/// The record of the run in a folder, or nothing where there is no run.json. Throws Kind::integrity for a run.json that
/// is broken, Kind::data for one of a version that is not known here.
std::optional<RunRecord> run_record(const Path& output_dir);

/// Writes run.json, whole or not at all, with the time of the first start when `created` is empty. REQUIRES: the
/// RunLock is held. Throws Kind::storage or Kind::machine.
void write_run_record(const Path& output_dir, RunRecord record);

}  // namespace hearth
