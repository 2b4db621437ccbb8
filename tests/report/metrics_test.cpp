#include "trainer/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "report/scratch.h"

namespace hearth {
namespace {

using test::a_step;
using test::Scratch;

std::vector<std::int64_t> steps_in(const Path& log) {
  std::vector<std::int64_t> steps;
  for (const StepRecord& r : read_metrics(log)) steps.push_back(r.step);
  return steps;
}

void append(const Path& folder, std::int64_t behind, const std::vector<std::int64_t>& steps) {
  MetricsLog log(folder, behind);
  for (const std::int64_t step : steps) log.append(a_step(step, 10));
}

using Steps = std::vector<std::int64_t>;

TEST(Metrics, EveryFieldComesBackWithAllItsDigits) {
  Scratch scratch;
  StepRecord r = a_step(7, 9);
  r.loss = 0.1 + 0.2;
  r.eval_loss = 1.0 / 3;
  r.exact_match = 0.875;
  r.rate = 1e-5 / 3;
  r.norm = std::nextafter(1.0, 2.0);
  r.epoch = 2.0 / 7;
  r.elapsed = 12.345678901234567;
  r.throughput = 1e5 / 7;
  r.tokens = std::int64_t{1} << 60;
  MetricsLog(scratch.path(), 0).append(r);
  const auto back = read_metrics(scratch.log());
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].step, 7);
  EXPECT_EQ(back[0].total_steps, 9);
  EXPECT_EQ(back[0].loss, r.loss);
  EXPECT_EQ(back[0].eval_loss, r.eval_loss);
  EXPECT_EQ(back[0].exact_match, r.exact_match);
  EXPECT_EQ(back[0].rate, r.rate);
  EXPECT_EQ(back[0].norm, r.norm);
  EXPECT_EQ(back[0].epoch, r.epoch);
  EXPECT_EQ(back[0].elapsed, r.elapsed);
  EXPECT_EQ(back[0].throughput, r.throughput);
  EXPECT_EQ(back[0].tokens, r.tokens);
  EXPECT_EQ(back[0].trained_tokens, r.trained_tokens);
  EXPECT_EQ(back[0].peak_memory, r.peak_memory);
  EXPECT_EQ(back[0].attempt, 1);
}

TEST(Metrics, AbsentValuesAreLeftOutAndThoseThatAreNotFiniteAreSeen) {
  Scratch scratch;
  StepRecord r;
  r.step = 1;
  r.loss = std::nan("");
  r.norm = HUGE_VAL;
  r.eval_loss = -HUGE_VAL;
  MetricsLog(scratch.path(), 0).append(r);
  const std::string text = read_text(scratch.log());
  EXPECT_NE(text.find("\"loss\":\"nan\""), std::string::npos) << text;
  EXPECT_NE(text.find("\"grad_norm\":\"inf\""), std::string::npos) << text;
  EXPECT_EQ(text.find("\"lr\""), std::string::npos) << text;
  EXPECT_EQ(text.find("exact_match"), std::string::npos) << text;
  const StepRecord back = read_metrics(scratch.log()).at(0);
  EXPECT_TRUE(std::isnan(back.loss.value()));
  EXPECT_EQ(back.norm, HUGE_VAL);
  EXPECT_EQ(back.eval_loss, -HUGE_VAL);
  EXPECT_FALSE(back.rate.has_value());
}

TEST(Metrics, StepsThatACrashUndidDoNotStandTwice) {
  Scratch scratch;
  append(scratch.path(), 0, {0, 1, 2, 3, 4, 5});
  append(scratch.path(), 3, {4, 5, 6});
  EXPECT_EQ(steps_in(scratch.log()), (Steps{0, 1, 2, 3, 4, 5, 6}));
  const auto records = read_metrics(scratch.log());
  EXPECT_EQ(records[3].attempt, 1);
  EXPECT_EQ(records[4].attempt, 2);
}

TEST(Metrics, ARunThatBeginsAgainMeasuresStepZeroOnce) {
  Scratch scratch;
  append(scratch.path(), 0, {0, 1});
  append(scratch.path(), 0, {0, 1, 2});
  EXPECT_EQ(steps_in(scratch.log()), (Steps{0, 1, 2}));
  EXPECT_EQ(read_metrics(scratch.log())[0].attempt, 2);
}

TEST(Metrics, AnAttemptThatDidNothingUndidNothing) {
  Scratch scratch;
  append(scratch.path(), 0, {1, 2, 3});
  const std::string before = read_text(scratch.log());
  append(scratch.path(), 1, {});
  EXPECT_EQ(read_text(scratch.log()), before);
  append(scratch.path(), 1, {2});
  EXPECT_EQ(steps_in(scratch.log()), (Steps{1, 2}));
  EXPECT_EQ(MetricsLog(scratch.path(), 2).attempt(), 3);
}

TEST(Metrics, AnEvaluationThatWasCutOffJoinsItsStep) {
  Scratch scratch;
  append(scratch.path(), 0, {1, 2, 3, 4});
  StepRecord measured;
  measured.step = 3;
  measured.eval_loss = 1.0 / 3;
  measured.exact_match = 0.5;
  MetricsLog log(scratch.path(), 3);
  log.amend(measured);
  EXPECT_EQ(steps_in(scratch.log()), (Steps{1, 2, 3}));
  log.append(a_step(4, 10));
  EXPECT_EQ(steps_in(scratch.log()), (Steps{1, 2, 3, 4}));
  const StepRecord third = read_metrics(scratch.log())[2];
  EXPECT_EQ(third.eval_loss, measured.eval_loss);
  EXPECT_EQ(third.exact_match, measured.exact_match);
  EXPECT_EQ(third.loss, a_step(3, 10).loss);
  EXPECT_EQ(third.elapsed, a_step(3, 10).elapsed);
  EXPECT_EQ(third.attempt, 1) << "it is the step of the attempt that did it";
  EXPECT_EQ(read_metrics(scratch.log())[3].attempt, 2);
  // A log that begins elsewhere gets a line for it.
  Scratch empty;
  MetricsLog(empty.path(), 3).amend(measured);
  EXPECT_EQ(read_metrics(empty.log()).at(0).eval_loss, measured.eval_loss);
}

TEST(Metrics, ATornLastLineIsRepaired) {
  Scratch scratch;
  append(scratch.path(), 0, {1, 2, 3});
  const std::string whole = read_text(scratch.log());
  const std::size_t third = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t length = third; length < whole.size(); ++length) {
    write_file(scratch.log(), whole.substr(0, length));
    const bool complete = length + 1 == whole.size();  // only its line end is missing
    EXPECT_EQ(steps_in(scratch.log()), complete ? (Steps{1, 2, 3}) : (Steps{1, 2})) << length;
    append(scratch.path(), 2, {3});
    EXPECT_EQ(steps_in(scratch.log()), (Steps{1, 2, 3})) << length;
    EXPECT_EQ(read_text(scratch.log()).back(), '\n');
  }
}

TEST(Metrics, LinesThatHoldNoRecordArePassedOver) {
  Scratch scratch;
  write_file(scratch.log(),
             "\n[]\n{}\nnull\n{\"current_steps\":\"1\"}\n{\"current_steps\":-1}\n\xff\xfe\n"
             "{\"current_steps\":1,\"loss\":null,\"lr\":\"much\",\"total_tokens\":1.5,\"peak_memory\":-4}\n"
             "{\"current_steps\":2,\"loss\":1e999,\"peak_memory\":1e300,\"elapsed_seconds\":\"inf\"}\n");
  const auto records = read_metrics(scratch.log());
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(records[0].step, 1);
  EXPECT_FALSE(records[0].loss.has_value());
  EXPECT_FALSE(records[0].rate.has_value());
  EXPECT_EQ(records[0].tokens, 0);
  EXPECT_EQ(records[0].peak_memory, 0u);
}

TEST(Metrics, OfTwoLinesOfAStepTheLaterStands) {
  Scratch scratch;
  write_file(scratch.log(),
             "{\"current_steps\":1,\"loss\":1}\n{\"current_steps\":2,\"loss\":1}\n{\"current_steps\":3,\"loss\":1}\n"
             "{\"current_steps\":2,\"loss\":7}\n");
  const auto records = read_metrics(scratch.log());
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].step, 2);
  EXPECT_EQ(records[1].loss, 7);
}

TEST(Metrics, AFolderThatIsNotThereIsNamed) {
  Scratch scratch;
  try {
    MetricsLog log(scratch.path() / "none", 0);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::storage);
    EXPECT_NE(error.text().find("none"), std::string::npos) << error.text();
  }
}

TEST(Metrics, Hours) {
  EXPECT_EQ(hours(3723), "1:02:03");
  EXPECT_EQ(hours(59.6), "0:01:00");
  EXPECT_EQ(hours(-1), "0:00:00");
  EXPECT_EQ(hours(std::nan("")), "0:00:00");
  EXPECT_GT(hours(HUGE_VAL).size(), 6u);
}

}  // namespace
}  // namespace hearth
