// Every pipeline that is small enough to try: up to 8 stages, 4 chunks, 16 microbatches.
#pragma once

#include <string>

#include "base/error.h"
#include "parallel/schedule.h"

namespace hearth::test {

struct ScheduleCase {
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  int stages = 1;
  int chunks = 1;
  int microbatches = 1;

  std::string text() const {
    return fmt::format("{}, {} stages, {} chunks, {} microbatches", name_of(schedule), stages, chunks, microbatches);
  }
};

constexpr PipelineSchedule every_schedule[] = {PipelineSchedule::one_f_one_b, PipelineSchedule::interleaved,
                                               PipelineSchedule::zero_bubble};

/// Calls body(case) for every case that is not refused, and returns how many there were.
template <class Body>
int for_every_case(const Body& body) {
  int cases = 0;
  for (const PipelineSchedule schedule : every_schedule) {
    for (int stages = 1; stages <= 8; ++stages) {
      for (int chunks = 1; chunks <= 4; ++chunks) {
        for (int microbatches = 1; microbatches <= 16; ++microbatches) {
          if (!refusal(schedule, stages, chunks, microbatches).empty()) continue;
          body(ScheduleCase{schedule, stages, chunks, microbatches});
          ++cases;
        }
      }
    }
  }
  return cases;
}

}  // namespace hearth::test
