// A log, boiled down to what the head of the report says.
#pragma once

#include <optional>
#include <vector>

#include "trainer/curves.h"
#include "trainer/metrics.h"

namespace hearth {

/// A value at its first and its last measurement.
struct Change {
  double before = 0;
  double after = 0;
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;  // = first_step where it was measured once
};

struct RunSummary {
  std::int64_t steps = 0;  // done
  std::int64_t total_steps = 0;
  double epochs = 0;
  std::optional<double> loss;  // of the last step that logged one
  std::optional<Change> held_out, exact_match;
  std::int64_t tokens = 0, trained_tokens = 0;
  /// From the start of an attempt's first step to the end of its last that stands in the log, all attempts together:
  /// evaluations and checkpoints between steps included; what came before the first step and after the last is not.
  double seconds = 0;
  double speed = 0;  // tokens of those steps / seconds; 0: not known
  std::int64_t attempts = 0;
  std::uint64_t peak_memory = 0;       // bytes
  std::vector<double> began;           // the step after which each later attempt went on
  std::optional<std::int64_t> broken;  // first step whose loss or gradient norm was not finite
};

/// `records` as read_metrics gives them: steps ascend.
RunSummary summary_of(const std::vector<StepRecord>& records);

/// The values of one field over the steps that have it.
std::vector<CurvePoint> curve_of(const std::vector<StepRecord>& records, std::optional<double> StepRecord::*field);
/// Tokens a second of each step, from the differences of tokens and time within an attempt. A step after a checkpoint
/// or an evaluation carries their time.
std::vector<CurvePoint> throughput_of(const std::vector<StepRecord>& records);

}  // namespace hearth
