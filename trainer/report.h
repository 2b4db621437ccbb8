// report.html: what a run did, for people. One file, nothing outside it is needed.
#pragma once

#include <string>

#include "base/file.h"

namespace hearth {

struct ReportFacts {
  std::string title;
  std::string model;    // architecture and size
  std::string mesh;     // ranks, threads, dtype
  std::string program;  // name, version, commit
  std::string machine;
  std::string recipe;  // the resolved recipe, YAML
  std::string counts;  // lines of Counts::text()
};

/// Writes `output_dir`/report.html from `output_dir`/trainer_log.jsonl and returns its path; plots: false leaves the
/// curves out. Throws Kind::storage or Kind::machine.
Path write_report(const Path& output_dir, const ReportFacts& facts, bool plots);

}  // namespace hearth
