#include "trainer/run_clock.h"

namespace hearth {

void RunClock::begin(const RunState& state, std::int64_t steps) {
  began_ = Clock::now();
  saved_ = began_;
  begun_ = state.step;
  steps_ = steps;
  tokens_before_ = state.tokens;
}

StepRecord RunClock::record(std::int64_t step, const RunState& state) const {
  StepRecord record;
  record.step = step;
  record.total_steps = steps_;
  record.elapsed = std::chrono::duration<double>(Clock::now() - began_).count();
  const auto done = static_cast<double>(step - begun_);
  record.remaining = done > 0 ? record.elapsed / done * static_cast<double>(steps_ - step) : 0;
  record.tokens = state.tokens;
  record.trained_tokens = state.trained_tokens;
  record.throughput = record.elapsed > 0 ? static_cast<double>(state.tokens - tokens_before_) / record.elapsed : 0;
  record.epoch = static_cast<double>(state.row) / static_cast<double>(state.rows_of_epoch);
  return record;
}

double RunClock::minutes_since_saved() const {
  return std::chrono::duration<double, std::ratio<60>>(Clock::now() - saved_).count();
}

}  // namespace hearth
