// How long an attempt has taken, and what that says of its speed and its end.
#pragma once

#include <chrono>
#include <cstdint>

#include "trainer/checkpoint.h"
#include "trainer/metrics.h"

namespace hearth {

class RunClock {
 public:
  /// The attempt begins now, at `state`, of a run of `steps` steps.
  void begin(const RunState& state, std::int64_t steps);
  /// Steps that were done before this attempt.
  std::int64_t begun() const { return begun_; }
  /// Time, speed and counts after `step`, where the run is at `state`.
  StepRecord record(std::int64_t step, const RunState& state) const;

  void saved() { saved_ = Clock::now(); }
  double minutes_since_saved() const;

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point began_ = Clock::now();
  Clock::time_point saved_ = began_;
  std::int64_t begun_ = 0;
  std::int64_t steps_ = 0;
  std::int64_t tokens_before_ = 0;
};

}  // namespace hearth
