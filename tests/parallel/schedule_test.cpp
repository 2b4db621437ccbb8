// What every list of actions must be, for every small pipeline: complete, in order, small enough in memory.
#include "parallel/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "parallel/in_flight.h"
#include "parallel/schedule_cases.h"

namespace hearth {
namespace {

using test::for_every_case;
using test::ScheduleCase;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<Action> actions_of(const ScheduleCase& c, int stage) {
  return hearth::actions_of(c.schedule, stage, c.stages, c.chunks, c.microbatches);
}

/// "F0 F1 B0", with the chunk behind a point where it is not 0.
std::string short_text(const std::vector<Action>& actions) {
  std::string all;
  for (const Action& action : actions) {
    if (!all.empty()) all += ' ';
    all += "FBC"[static_cast<int>(action.what)];
    all += std::to_string(action.microbatch);
    if (action.chunk != 0) all += '.' + std::to_string(action.chunk);
  }
  return all;
}

TEST(Schedule, TheListsOfThePapers) {
  EXPECT_EQ(short_text(one_f_one_b(0, 2, 1, 3)), "F0 F1 B0 F2 B1 B2");
  EXPECT_EQ(short_text(one_f_one_b(1, 2, 1, 3)), "F0 B0 F1 B1 F2 B2");
  EXPECT_EQ(short_text(interleaved(0, 2, 2, 2)), "F0 F1 F0.1 F1.1 B0.1 B1.1 B0 B1");
  EXPECT_EQ(short_text(interleaved(1, 2, 2, 4)), "F0 F1 F0.1 B0.1 F1.1 B1.1 F2 B0 F3 B1 F2.1 B2.1 F3.1 B3.1 B2 B3");
  EXPECT_EQ(short_text(zero_bubble(0, 3, 1, 4)), "F0 F1 F2 B0 C0 F3 B1 C1 B2 C2 B3 C3");
  EXPECT_EQ(short_text(zero_bubble(1, 3, 1, 4)), "F0 F1 B0 F2 B1 C0 F3 B2 C1 B3 C2 C3");
  EXPECT_EQ(short_text(zero_bubble(2, 3, 1, 4)), "F0 B0 F1 B1 F2 B2 C0 F3 B3 C1 C2 C3");
}

TEST(Schedule, OneStageDoesWhatOneRankDoes) {
  EXPECT_EQ(short_text(one_f_one_b(0, 1, 1, 2)), "F0 B0 F1 B1");
  EXPECT_EQ(short_text(zero_bubble(0, 1, 1, 2)), "F0 B0 C0 F1 B1 C1");
}

TEST(Schedule, EveryActionOnceAndInOrder) {
  const int cases = for_every_case([](const ScheduleCase& c) {
    const bool split = c.schedule == PipelineSchedule::zero_bubble;
    for (int stage = 0; stage < c.stages; ++stage) {
      const auto actions = actions_of(c, stage);
      ASSERT_EQ(actions.size(), static_cast<std::size_t>(c.chunks * c.microbatches * (split ? 3 : 2))) << c.text();
      std::map<std::pair<Do, int>, int>
          done;  // by kind and chunk: the microbatches are 0, 1, ... in order, so each is once
      for (const Action& action : actions) {
        const int forwards = done[{Do::forward, action.chunk}];
        const int backwards = done[{Do::backward, action.chunk}];
        int& next = done[{action.what, action.chunk}];
        ASSERT_TRUE(action.chunk >= 0 && action.chunk < c.chunks) << c.text();
        ASSERT_EQ(action.microbatch, next) << c.text() << ": " << text(action);
        if (action.what == Do::backward) {
          ASSERT_GT(forwards, action.microbatch) << c.text();
        } else if (action.what == Do::contract) {
          ASSERT_GT(backwards, action.microbatch) << c.text();
        }
        ++next;
      }
      for (const auto& [kind, count] : done) ASSERT_EQ(count, c.microbatches) << c.text();
    }
  });
  // 8 x 16 each of two schedules; interleaved: 3 numbers of chunks for each multiple of the stages up to 16
  EXPECT_EQ(cases, 2 * 8 * 16 + 3 * (16 + 8 + 5 + 4 + 3 + 2 + 2 + 2));
}

TEST(Schedule, HoldsNoMoreThanItSays) {
  for_every_case([](const ScheduleCase& c) {
    for (int stage = 0; stage < c.stages; ++stage) {
      const InFlight held = in_flight(actions_of(c, stage), c.chunks);
      const int behind = c.stages - 1 - stage;
      if (c.schedule == PipelineSchedule::interleaved) {
        EXPECT_EQ(held.most, std::min(2 * behind + (c.chunks - 1) * c.stages + 1, c.chunks * c.microbatches))
            << c.text();
      } else {
        EXPECT_EQ(held.most, std::min(behind + 1, c.microbatches)) << c.text();
        EXPECT_THAT(held.by_chunk, ElementsAre(held.most)) << c.text();
      }
      // Split or not: what lies between forward and contraction is what 1F1B holds on its first stage, on every stage.
      const bool split = c.schedule == PipelineSchedule::zero_bubble;
      EXPECT_EQ(held.most_held, split ? std::min(c.stages, c.microbatches) : held.most) << c.text();
    }
  });
}

TEST(Schedule, IdealBubbles) {
  EXPECT_EQ(ideal_bubble(PipelineSchedule::one_f_one_b, 4, 1, 8), 3.0 / 11.0);
  EXPECT_EQ(ideal_bubble(PipelineSchedule::interleaved, 4, 2, 8), 3.0 / 19.0);
  EXPECT_EQ(ideal_bubble(PipelineSchedule::zero_bubble, 4, 1, 8), 3.0 / 27.0);  // Qi et al.: (p - 1)(F + B - W)
  EXPECT_EQ(ideal_bubble(PipelineSchedule::zero_bubble, 4, 1, 4), 3.0 / 15.0);
  EXPECT_EQ(ideal_bubble(PipelineSchedule::zero_bubble, 4, 1, 1), 6.0 / 9.0);
  for (const PipelineSchedule schedule : test::every_schedule) {
    EXPECT_EQ(ideal_bubble(schedule, 1, schedule == PipelineSchedule::interleaved ? 2 : 1, 5), 0);
  }
}

TEST(Schedule, RefusalsNameTheNearestSizesThatWork) {
  const auto interleaved_refusal = [](int stages, int chunks, int microbatches) {
    return refusal(PipelineSchedule::interleaved, stages, chunks, microbatches);
  };
  EXPECT_THAT(interleaved_refusal(4, 2, 10), HasSubstr("10 microbatches on 4 stages"));
  EXPECT_THAT(interleaved_refusal(4, 2, 10), HasSubstr("8 or 12 would"));
  EXPECT_THAT(interleaved_refusal(4, 2, 3), HasSubstr("; 4 would"));
  EXPECT_THAT(interleaved_refusal(4, 2, 1), HasSubstr("interleaved with 1 microbatch on 4 stages: "));
  EXPECT_THAT(interleaved_refusal(4, 1, 8), HasSubstr("takes 2 or more"));
  EXPECT_EQ(refusal(PipelineSchedule::interleaved, 4, 1), interleaved_refusal(4, 1, 3)) << "whatever the microbatches";
  EXPECT_EQ(refusal(PipelineSchedule::interleaved, 4, 2), "");
  EXPECT_EQ(interleaved_refusal(4, 2, 8), "");
  EXPECT_THAT(refusal(PipelineSchedule::one_f_one_b, 4, 2, 8), HasSubstr("pipeline_schedule: 1f1b with 2 chunks"));
  EXPECT_THAT(refusal(PipelineSchedule::zero_bubble, 4, 3, 8),
              HasSubstr("zero_bubble with 3 chunks a stage: it works with 1"));
  EXPECT_THAT(refusal(PipelineSchedule::zero_bubble, 0, 1, 8), HasSubstr("0 stages"));
  EXPECT_THAT(refusal(PipelineSchedule::zero_bubble, 2, 0, 8), HasSubstr("0 chunks"));
  EXPECT_THAT(refusal(PipelineSchedule::one_f_one_b, 2, 1, 0), HasSubstr("0 microbatches"));
}

TEST(Schedule, WhatIsRefusedIsNotMade) {
  for (const auto& make : {one_f_one_b, zero_bubble}) {
    EXPECT_THROW(make(0, 2, 2, 4), Error);
    EXPECT_THROW(make(2, 2, 1, 4), Error);
    EXPECT_THROW(make(-1, 2, 1, 4), Error);
  }
  try {
    interleaved(0, 4, 2, 10);
    FAIL() << "10 microbatches on 4 stages were accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::usage);
    EXPECT_EQ(error.text(), refusal(PipelineSchedule::interleaved, 4, 2, 10));
  }
  EXPECT_THROW(all_stages(PipelineSchedule::one_f_one_b, 0, 1, 1), Error);
  EXPECT_THROW(ideal_bubble(PipelineSchedule::interleaved, 4, 2, 10), Error);
}

TEST(InFlight, CountsChunksAndWhatIsPutOff) {
  const InFlight held = in_flight(interleaved(0, 2, 2, 2), 2);
  EXPECT_EQ(held.most, 4);
  EXPECT_THAT(held.by_chunk, ElementsAre(2, 2));
  const std::vector<Action> list = {{Do::forward, 0, 0},  {Do::forward, 0, 1},  {Do::backward, 0, 1},
                                    {Do::backward, 0, 0}, {Do::contract, 0, 1}, {Do::contract, 0, 0}};
  EXPECT_EQ(in_flight(list, 2).most, 2);
  EXPECT_EQ(in_flight(list, 2).most_held, 2);
  const ChunkBytes large_kept[] = {{1000, 10}, {100, 1}};
  EXPECT_EQ(most_bytes(list, large_kept), 1100U);  // both in flight
  const ChunkBytes large_put_off[] = {{1000, 2000}, {100, 200}};
  EXPECT_EQ(most_bytes(list, large_put_off), 2200U);  // both put off
  EXPECT_EQ(most_bytes(one_f_one_b(0, 3, 1, 8), std::vector<ChunkBytes>{{7, 100}}), 21U) << "never put off";
}

}  // namespace
}  // namespace hearth
