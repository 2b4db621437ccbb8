// trainer_log.jsonl: what happened in every step, for programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"

namespace hearth {

/// One line of the log. Field names of the file are in docs/metrics.md; absent values are left out.
struct StepRecord {
  std::int64_t step = 0;  // updates done; 0: before the first
  std::int64_t total_steps = 0;
  std::optional<double> loss;         // nats per trained token, of this step
  std::optional<double> eval_loss;    // held-out loss after this step
  std::optional<double> exact_match;  // share of questions answered exactly, after this step
  std::optional<double> rate;         // learning rate that the step used
  std::optional<double> norm;         // global gradient norm before clipping
  double epoch = 0;                   // passes over the data so far
  double elapsed = 0;                 // seconds since this attempt began
  double remaining = 0;               // seconds, estimated
  double throughput = 0;              // tokens/s of the whole job since this attempt began
  std::int64_t tokens = 0;            // seen since the first step
  std::int64_t trained_tokens = 0;
  std::uint64_t peak_memory = 0;  // bytes of tensors, largest so far, of this rank
  std::int64_t attempt = 1;       // counts the starts of the run that did a step
};

/// Appends lines, numbers with all their digits, each line on disk as soon as it is written. Belongs to the first rank.
class MetricsLog {
 public:
  /// Continues the log of `output_dir` behind step `step`; 0 begins anew. With the first append, later lines (of steps
  /// that a crash undid) and torn ones disappear, so that no step stands there twice; until then the file stays as it
  /// is. Throws Kind::storage or Kind::machine.
  MetricsLog(const Path& output_dir, std::int64_t step);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  /// The attempt is filled in. Throws like the constructor.
  void append(StepRecord record);
  /// Adds what was measured after the step that the log continues behind (an evaluation that was cut off) to its line, or a
  /// line where there is none. REQUIRES: nothing was appended yet.
  void amend(const StepRecord& measured);
  std::int64_t attempt() const { return attempt_; }

 private:
  void open();
  void write_kept();

  Path path_;
  int descriptor_ = -1;
  std::int64_t attempt_ = 1;
  std::string kept_;  // the lines that stay, until the first append
  std::string last_;  // and the one of the step that the log continues behind
  bool appended_ = false;
};

/// The lines of a log that can be read, steps ascending: torn lines are left out, and of two lines of a step (and all
/// between them) the earlier. Throws Kind::data.
std::vector<StepRecord> read_metrics(const Path& log);
/// "1:02:03"
std::string hours(double seconds);

}  // namespace hearth
