// Where a run ends before its last step: cut off in an evaluation, asked to, or before it began.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>

#include "job/resume.h"
#include "trainer/checkpoint.h"

namespace hearth {
namespace {

using test::evaluations_of;
using test::JobOptions;
using test::Resume;
using test::run_on_threads;
using test::says;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// A signal that comes in an evaluation cuts it off; the run that goes on does it first, and nothing tells the two apart.
TEST_F(Resume, AnEvaluationThatIsCutOffIsDoneFirst) {
  JobOptions o = options();
  o.steps = 10;
  o.save_steps = 100;
  o.more = {"val_size: 5", "eval_steps: 5"};
  run_on_threads(2, folder_.path(), "whole", o);
  const Path run = folder_.path() / "cut";
  const auto during = [&](int ranks, std::int64_t step) {  // asked to end while step 5, or 10, is under way
    std::atomic<bool> flag = false;
    return run_on_threads(ranks, folder_.path(), "cut", o, [&](RunContext& context) {
      context.interrupted = &flag;
      context.in_step = [&flag, step](std::int64_t now) {
        if (now == step) flag = true;
      };
    });
  };
  EXPECT_EQ(during(2, 5), RunEnd::interrupted);
  EXPECT_TRUE(std::filesystem::exists(run / "step-5"));
  EXPECT_EQ(evaluations_of(run).size(), 1U) << "that before the first step alone";
  EXPECT_EQ(read_metrics(run / "trainer_log.jsonl").back().step, 5);
  EXPECT_TRUE(says(run / "report.html", "interrupted at step 5 of 10: the checkpoint is saved"));
  EXPECT_EQ(during(1, 10), RunEnd::interrupted) << "the last step is done, and not the evaluation after it";
  EXPECT_EQ(evaluations_of(run).size(), 2U);
  EXPECT_EQ(run_on_threads(2, folder_.path(), "cut", o), RunEnd::finished);
  EXPECT_EQ(evaluations_of(run), evaluations_of(folder_.path() / "whole"));
  EXPECT_EQ(evaluations_of(run).size(), 3U);
  EXPECT_TRUE(test::result_of(folder_.path(), "cut") == test::result_of(folder_.path(), "whole"));
  const RunState one = CheckpointReader(run / "step-10").state();
  const RunState other = CheckpointReader(folder_.path() / "whole" / "step-10").state();
  EXPECT_EQ(one.best_eval_loss, other.best_eval_loss);
  EXPECT_EQ(one.more, other.more);
  EXPECT_FALSE(says(run / "report.html", "interrupted at step"));
}

TEST_F(Resume, TheBestHeldOutLossIsKeptAndNotTheLast) {
  JobOptions o = options();
  o.more = {"val_size: 5", "eval_steps: 2"};
  run_on_threads(1, folder_.path(), "run", o);
  const auto found = evaluations_of(folder_.path() / "run");
  const auto best =
      std::min_element(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  ASSERT_LT(best->second, found.back().second) << "rows are few: in thirty steps they are learned by heart";
  EXPECT_EQ(CheckpointReader(folder_.path() / "run" / "step-30").state().best_eval_loss, best->second);
}

/// A run that is taken in pieces is the run in one piece: its schedule and its end do not know of them.
TEST_F(Resume, StopsWhereItIsAskedToAndGoesOn) {
  JobOptions o = options();
  o.steps = 9;
  run_on_threads(2, folder_.path(), "whole", o);
  const auto until = [&](std::int64_t step) {
    return run_on_threads(2, folder_.path(), "pieces", o, [&](RunContext& context) { context.until = step; });
  };
  const Path run = folder_.path() / "pieces";
  EXPECT_EQ(until(3), RunEnd::paused);
  EXPECT_TRUE(says(run / "report.html", "stopped as asked at step 3 of 9: the checkpoint is saved"));
  EXPECT_EQ(checkpoints(run).size(), 1U);
  EXPECT_EQ(until(2), RunEnd::paused);
  EXPECT_EQ(until(3), RunEnd::paused);
  EXPECT_EQ(CheckpointReader(run / "step-3").state().step, 3);
  EXPECT_EQ(checkpoints(run).size(), 1U) << "nothing was trained";
  EXPECT_EQ(until(7), RunEnd::paused);
  EXPECT_EQ(until(9), RunEnd::finished);
  EXPECT_EQ(until(4), RunEnd::finished);
  EXPECT_EQ(test::result_of(folder_.path(), "pieces"), test::result_of(folder_.path(), "whole"));
}

/// Asked before the first step, a start ends without one and says what there is.
TEST_F(Resume, AskedBeforeTheFirstStepItEndsWithoutOne) {
  const JobOptions o = options();
  std::atomic<bool> at_once = true;
  const auto text_of_start = [&](bool once_prepared) {
    std::atomic<bool> later = false;
    try {
      run_on_threads(2, folder_.path(), "run", o, [&](RunContext& context) {
        context.interrupted = once_prepared ? &later : &at_once;
        if (!once_prepared || context.world.rank() != 1) return;  // one rank is enough
        context.make_device = [make = context.make_device, &later](std::optional<Bf16Products> products) {
          later = true;
          return make(products);
        };
      });
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Kind::preempted) << error.text();
      return error.text();
    }
    return std::string("it did not end");
  };
  for (const bool once_prepared : {false, true}) {
    EXPECT_THAT(text_of_start(once_prepared), AllOf(HasSubstr("nothing was trained"), HasSubstr("no checkpoint yet")));
    EXPECT_FALSE(says(folder_.path() / "run" / "run.lock", "pid")) << "its lock was given back";
  }
  EXPECT_EQ(run_until(3, 2, "run", o), RunEnd::interrupted);
  for (const bool once_prepared : {false, true}) {
    EXPECT_THAT(text_of_start(once_prepared),
                AllOf(HasSubstr("nothing was trained"), HasSubstr("run/step-4 is as it was")));
  }
  EXPECT_EQ(run_on_threads(2, folder_.path(), "run", o), RunEnd::finished);
  run_on_threads(2, folder_.path(), "whole", o);
  EXPECT_TRUE(test::result_of(folder_.path(), "run") == test::result_of(folder_.path(), "whole"));
}

}  // namespace
}  // namespace hearth
