// All stages of every small pipeline together: no deadlock, dependencies kept, and idle for as long as the formulas
// say.
#include "parallel/pipeline_simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "parallel/schedule_cases.h"

namespace hearth {
namespace {

using test::for_every_case;
using test::ScheduleCase;
using testing::HasSubstr;

using Lists = std::vector<std::vector<Action>>;

Lists lists_of(const ScheduleCase& c) {
  return all_stages(c.schedule, c.stages, c.chunks, c.microbatches);
}

PipelineTimes equal_times(int virtual_stages, ActionTimes times = {}) {
  return {std::vector<ActionTimes>(static_cast<std::size_t>(virtual_stages), times)};
}

/// Small whole numbers, so that sums are exact in any order.
PipelineTimes uneven_times(int virtual_stages, std::uint64_t seed) {
  PipelineTimes times;
  const Key key = Key(seed).with("times");
  std::uint64_t index = 0;
  const auto next = [&] { return static_cast<double>(1 + key.below(9, index++)); };
  for (int i = 0; i < virtual_stages; ++i) times.virtual_stages.push_back({next(), next(), next()});
  times.message = static_cast<double>(key.below(4, index));
  return times;
}

/// When every action begins if nothing but the lists, the data and the messages hold it up, found by relaxation: the
/// longest way to each action. What buffered sends must give.
std::vector<std::vector<double>> longest_ways(const Lists& lists, const PipelineTimes& times) {
  const int stages = static_cast<int>(lists.size());
  const int virtual_stages = static_cast<int>(times.virtual_stages.size());
  const bool split =
      std::any_of(lists[0].begin(), lists[0].end(), [](const Action& a) { return a.what == Do::contract; });
  const auto time = [&](int stage, const Action& a) {
    const int place = a.chunk * stages + stage;
    const ActionTimes& t = times.virtual_stages[static_cast<std::size_t>(place)];
    return a.what == Do::forward    ? t.forward
           : a.what == Do::contract ? t.contract
                                    : t.backward + (split ? 0 : t.contract);
  };
  std::vector<std::vector<double>> begins;
  for (const auto& list : lists) begins.emplace_back(list.size(), 0.0);
  const auto end_of = [&](Do what, int microbatch, int place) {
    const int stage = place % stages;
    const auto& list = lists[static_cast<std::size_t>(stage)];
    const Action action = {what, microbatch, place / stages};
    const auto found = std::find(list.begin(), list.end(), action);
    return begins[static_cast<std::size_t>(stage)][static_cast<std::size_t>(found - list.begin())] +
           time(stage, action);
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (int stage = 0; stage < stages; ++stage) {
      const auto& list = lists[static_cast<std::size_t>(stage)];
      for (std::size_t i = 0; i < list.size(); ++i) {
        const auto [what, microbatch, chunk] = list[i];
        const int here = chunk * stages + stage;
        const double travel = stages > 1 ? times.message : 0;
        double& begin = begins[static_cast<std::size_t>(stage)][i];
        double earliest = i == 0 ? 0 : begins[static_cast<std::size_t>(stage)][i - 1] + time(stage, list[i - 1]);
        if (what == Do::forward && here > 0) earliest = std::max(earliest, end_of(what, microbatch, here - 1) + travel);
        if (what == Do::backward && here + 1 < virtual_stages) {
          earliest = std::max(earliest, end_of(what, microbatch, here + 1) + travel);
        }
        changed = changed || earliest > begin;
        begin = std::max(begin, earliest);
      }
    }
  }
  return begins;
}

TEST(PipelineSimulation, IdleAsTheFormulasSay) {
  for_every_case([](const ScheduleCase& c) {
    const Lists lists = lists_of(c);
    const double formula = ideal_bubble(c.schedule, c.stages, c.chunks, c.microbatches);
    std::vector<ActionTimes> all_times = {{1, 1, 1}};
    // A backward in one piece may take any multiple of a forward.
    if (c.schedule != PipelineSchedule::zero_bubble) all_times = {{1, 1, 1}, {2, 1, 1}, {1, 3, 4}, {4, 1, 0}};
    for (const ActionTimes& times : all_times) {
      for (const Sends sends : {Sends::rendezvous, Sends::buffered}) {
        const PipelineRun run = simulate(lists, equal_times(c.stages * c.chunks, times), sends);
        ASSERT_EQ(run.trouble, "") << c.text();
        ASSERT_EQ(run.idle, formula) << c.text();
        for (const StageRun& stage : run.stages) ASSERT_EQ(stage.idle, formula) << c.text();
      }
    }
  });
}

TEST(PipelineSimulation, NoDeadlockAndNoDependencyBrokenWhateverActionsTake) {
  std::uint64_t seed = 0;
  for_every_case([&](const ScheduleCase& c) {
    const Lists lists = lists_of(c);
    const PipelineTimes times = uneven_times(c.stages * c.chunks, ++seed);
    const auto earliest = longest_ways(lists, times);
    const PipelineRun buffered = simulate(lists, times, Sends::buffered);
    const PipelineRun rendezvous = simulate(lists, times, Sends::rendezvous);
    ASSERT_EQ(buffered.trouble, "") << c.text();
    ASSERT_EQ(rendezvous.trouble, "") << c.text();
    for (std::size_t stage = 0; stage < lists.size(); ++stage) {
      ASSERT_EQ(buffered.stages[stage].begins, earliest[stage]) << c.text() << ", stage " << stage;
      ASSERT_EQ(rendezvous.stages[stage].begins.size(), lists[stage].size()) << c.text();
      for (std::size_t i = 0; i < lists[stage].size(); ++i) {
        ASSERT_GE(rendezvous.stages[stage].begins[i], earliest[stage][i]) << c.text();
      }
    }
    ASSERT_GE(rendezvous.finish, buffered.finish) << c.text();
  });
}

TEST(PipelineSimulation, SharesOfTime) {
  PipelineTimes times = equal_times(2);
  times.virtual_stages[1] = {2, 2, 1};
  const PipelineRun run = simulate(lists_of({PipelineSchedule::one_f_one_b, 2, 1, 2}), times, Sends::buffered);
  // stage 0: F 0-1, F 1-2, B 6-8, B 11-13    stage 1: F 1-3, B 3-6, F 6-8, B 8-11
  EXPECT_EQ(run.finish, 13);
  EXPECT_EQ(run.stages[0].busy, 6);
  EXPECT_EQ(run.stages[1].busy, 10);
  EXPECT_EQ(run.stages[0].idle, 7.0 / 13.0);
  EXPECT_EQ(run.idle, 10.0 / 26.0);
  EXPECT_THAT(run.stages[0].begins, testing::ElementsAre(0, 1, 6, 11));
  times.message = 1;
  const PipelineRun later = simulate(lists_of({PipelineSchedule::one_f_one_b, 2, 1, 2}), times, Sends::buffered);
  EXPECT_EQ(later.finish, 15) << "one message to the last stage and one back lie on the longest way";
}

/// A slow second stage posts the receive of microbatch 2 when it comes to microbatch 1, at 12; only then does that
/// message leave, to arrive at 13, and only then may the first stage send microbatch 3 and go on.
TEST(PipelineSimulation, ARendezvousWaitsForItsReceive) {
  Lists lists(2);
  for (int i = 0; i < 5; ++i) lists[0].push_back({Do::forward, i});
  lists[1] = lists[0];
  PipelineTimes times = equal_times(2);
  times.virtual_stages[1].forward = 10;
  times.message = 1;
  const PipelineRun rendezvous = simulate(lists, times, Sends::rendezvous);
  EXPECT_THAT(rendezvous.stages[0].begins, testing::ElementsAre(0, 1, 2, 3, 13));
  EXPECT_THAT(rendezvous.stages[1].begins, testing::ElementsAre(2, 12, 22, 32, 42));
  const PipelineRun buffered = simulate(lists, times, Sends::buffered);
  EXPECT_THAT(buffered.stages[0].begins, testing::ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(buffered.stages[1].begins, rendezvous.stages[1].begins);
}

TEST(PipelineSimulation, AWaitForEachOtherIsNamed) {
  const Lists lists = {{{Do::forward, 0}, {Do::backward, 0}, {Do::forward, 1}, {Do::backward, 1}},
                       {{Do::forward, 0}, {Do::forward, 1}, {Do::backward, 0}, {Do::backward, 1}}};
  const PipelineRun run = simulate(lists, equal_times(2), Sends::buffered);
  EXPECT_EQ(run.trouble,
            "stage 0 waits for the backward of microbatch 0, chunk 0 of stage 1; "
            "stage 1 waits for the forward of microbatch 1, chunk 0 of stage 0");
}

/// The first stage runs all forwards before it takes a gradient, the second takes turns: fine where sends are buffered.
TEST(PipelineSimulation, RendezvousFindsWhatBuffersHide) {
  Lists lists(2);
  for (int i = 0; i < 6; ++i) lists[0].push_back({Do::forward, i});
  for (int i = 0; i < 6; ++i) lists[0].push_back({Do::backward, i});
  lists[1] = one_f_one_b(1, 2, 1, 6);
  EXPECT_EQ(simulate(lists, equal_times(2), Sends::buffered).trouble, "");
  EXPECT_THAT(
      simulate(lists, equal_times(2), Sends::rendezvous).trouble,
      HasSubstr("stage 1 waits until stage 0 takes the output of its backward of microbatch 0, chunk 0, to send "
                "that of its backward of microbatch 1, chunk 0"));
}

TEST(PipelineSimulation, WrongListsAreTold) {
  const auto trouble = [](const Lists& lists, int virtual_stages) {
    return simulate(lists, equal_times(virtual_stages), Sends::rendezvous).trouble;
  };
  Lists swapped = lists_of({PipelineSchedule::one_f_one_b, 2, 1, 2});
  std::swap(swapped[0][0], swapped[0][1]);
  EXPECT_EQ(
      trouble(swapped, 2),
      "stage 1 would take the forward of microbatch 1, chunk 0 of stage 0 for the forward of microbatch 0, chunk 0");
  EXPECT_THAT(trouble({{{Do::backward, 0}}}, 1), HasSubstr("before its forward"));
  EXPECT_THAT(trouble({{{Do::forward, 0}, {Do::contract, 0}}}, 1), HasSubstr("before its backward"));
  EXPECT_THAT(trouble({{{Do::forward, 0}, {Do::forward, 0}}}, 1), HasSubstr("a second time"));
  EXPECT_THAT(trouble({{{Do::forward, 0, 1}, {Do::forward, 0, 0}}}, 2), HasSubstr("before the chunk before"));
  EXPECT_THAT(trouble({{{Do::forward, 0, 0}, {Do::forward, 0, 1}, {Do::backward, 0, 0}}}, 2),
              HasSubstr("before the chunk behind"));
  EXPECT_THAT(trouble({{{Do::forward, 0}}, {}}, 2),
              HasSubstr("nobody takes the output of the forward of microbatch 0"));
  EXPECT_THAT(trouble({{}, {{Do::forward, 0}}}, 2), HasSubstr("stage 1 waits for the forward of microbatch 0"));
}

TEST(PipelineProgram, ReceivesArePostedOneActionAhead) {
  const PipelineShape shape = {.stages = 2, .chunks = 1};
  std::string all;
  for (const Instruction& instruction : program_of(one_f_one_b(1, 2, 1, 2), 1, shape)) {
    const char* const names[] = {"post", "wait", "run", "send"};
    all += fmt::format("{} {}{}, ", names[static_cast<int>(instruction.verb)],
                       "FBC"[static_cast<int>(instruction.action.what)], instruction.action.microbatch);
  }
  EXPECT_EQ(all, "post F0, wait F0, run F0, post F1, run B0, send B0, wait F1, run F1, run B1, send B1, ");
}

TEST(PipelineProgram, MessagesGoRoundAndBack) {
  const PipelineShape shape = {.stages = 2, .chunks = 2};
  const Action forward = {Do::forward, 3, 1};
  EXPECT_EQ(*input_of(forward, 0, shape), (Message{Cargo::activations, 1, 0, {Do::forward, 3, 0}}));
  EXPECT_EQ(*output_of(forward, 0, shape), (Message{Cargo::activations, 0, 1, forward}));
  EXPECT_FALSE(output_of(forward, 1, shape)) << "the end of the model";
  EXPECT_FALSE(input_of({Do::forward, 3, 0}, 0, shape)) << "its beginning";
  const Action backward = {Do::backward, 3, 0};
  EXPECT_EQ(*input_of(backward, 1, shape), (Message{Cargo::gradients, 0, 1, {Do::backward, 3, 1}}));
  EXPECT_EQ(*output_of(backward, 1, shape), (Message{Cargo::gradients, 1, 0, backward}));
  EXPECT_FALSE(output_of(backward, 0, shape));
  EXPECT_FALSE(input_of({Do::backward, 3, 1}, 1, shape));
  EXPECT_FALSE(input_of({Do::contract, 3, 0}, 1, shape));
  EXPECT_FALSE(output_of({Do::contract, 3, 0}, 1, shape));
  EXPECT_FALSE(output_of(forward, 0, PipelineShape{.stages = 1, .chunks = 3})) << "one stage hands on to itself";
}

}  // namespace
}  // namespace hearth
