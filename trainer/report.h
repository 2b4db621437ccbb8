// report.html: what a run did, for people. One file, nothing outside it is needed.
#pragma once

#include <string>

#include "base/file.h"
#include "trainer/report_summary.h"

namespace hearth {

struct ReportFacts {
  std::string title;
  std::string model;    // architecture and size
  std::string mesh;     // ranks, threads, dtype
  std::string program;  // name, version, commit
  std::string machine;
  std::string recipe;   // the resolved recipe, YAML
  std::string counts;   // lines of Counts::text()
  std::string ending;   // why the run ended before its last step; empty: it did not, or is under way
  bool broken = false;  // by a failure, not because somebody interrupted it
};

struct WrittenReport {
  Path path;
  RunSummary summary;  // what it says in numbers
};

/// Writes `output_dir`/report.html from `output_dir`/trainer_log.jsonl; plots: false leaves the curves out. Throws
/// Kind::storage or Kind::machine.
WrittenReport write_report(const Path& output_dir, const ReportFacts& facts, bool plots);

}  // namespace hearth
