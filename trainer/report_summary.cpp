#include "trainer/report_summary.h"

#include <algorithm>
#include <cmath>

namespace hearth {

namespace {

std::optional<Change> change_of(const std::vector<StepRecord>& records, std::optional<double> StepRecord::*field) {
  const auto points = curve_of(records, field);
  if (points.empty()) return std::nullopt;
  return Change{points.front().value, points.back().value, static_cast<std::int64_t>(points.front().step),
                static_cast<std::int64_t>(points.back().step)};
}

bool is_broken(const std::optional<double>& value) {
  return value && !std::isfinite(*value);
}

}  // namespace

RunSummary summary_of(const std::vector<StepRecord>& records) {
  RunSummary run;
  double elapsed = 0;  // of the attempt that is being read
  double taken = 0;    // tokens of its steps
  double tokens = 0;   // of all attempts
  for (std::size_t i = 0; i < records.size(); ++i) {
    const StepRecord& r = records[i];
    if (i > 0 && r.attempt != records[i - 1].attempt) {
      run.began.push_back(static_cast<double>(records[i - 1].step));
      run.seconds += elapsed;
      tokens += taken;
      elapsed = taken = 0;
    }
    if (r.step > 0 && r.elapsed >= elapsed) {
      elapsed = r.elapsed;
      taken = r.throughput * r.elapsed;
    }
    run.attempts = std::max(run.attempts, r.attempt);
    run.peak_memory = std::max(run.peak_memory, r.peak_memory);
    if (r.loss) run.loss = r.loss;
    if (!run.broken && (is_broken(r.loss) || is_broken(r.norm))) run.broken = r.step;
  }
  run.seconds += elapsed;
  tokens += taken;
  if (run.seconds > 0) run.speed = tokens / run.seconds;
  if (!records.empty()) {
    const StepRecord& last = records.back();
    run.steps = last.step;
    run.total_steps = last.total_steps;
    run.epochs = last.epoch;
    run.tokens = last.tokens;
    run.trained_tokens = last.trained_tokens;
  }
  run.held_out = change_of(records, &StepRecord::eval_loss);
  run.exact_match = change_of(records, &StepRecord::exact_match);
  return run;
}

std::vector<CurvePoint> curve_of(const std::vector<StepRecord>& records, std::optional<double> StepRecord::*field) {
  std::vector<CurvePoint> points;
  for (const StepRecord& r : records) {
    if (r.*field) points.push_back({static_cast<double>(r.step), *(r.*field)});
  }
  return points;
}

std::vector<CurvePoint> throughput_of(const std::vector<StepRecord>& records) {
  std::vector<CurvePoint> points;
  const StepRecord* before = nullptr;
  for (const StepRecord& r : records) {
    // The clock starts with an attempt's first step, after the evaluation that step 0 stands for.
    const bool goes_on = before != nullptr && before->attempt == r.attempt && before->step > 0;
    const double seconds = r.elapsed - (goes_on ? before->elapsed : 0);
    const std::int64_t tokens = r.tokens - (before != nullptr ? before->tokens : 0);
    if (r.step > 0 && seconds > 0 && tokens > 0) {
      points.push_back({static_cast<double>(r.step), static_cast<double>(tokens) / seconds});
    }
    before = &r;
  }
  return points;
}

}  // namespace hearth
