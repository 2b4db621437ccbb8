#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "report/scratch.h"
#include "trainer/report.h"
#include "trainer/report_summary.h"
#include "trainer/report_text.h"

namespace hearth {
namespace {

using test::a_step;
using test::Scratch;
using testing::HasSubstr;
using testing::Not;

ReportFacts facts() {
  return {"my run",      "llama, 1000 parameters",          "2 ranks",  "hearth 0.1",
          "a processor", "train:\n  seed: 42  # default\n", "12 rows\n"};
}

std::string report_of(const std::vector<StepRecord>& records, const ReportFacts& about, bool plots = true) {
  Scratch scratch;
  if (!records.empty()) {
    MetricsLog log(scratch.path(), 0);
    for (const StepRecord& r : records) log.append(r);
  }
  const Path path = write_report(scratch.path(), about, plots).path;
  EXPECT_EQ(path, scratch.path() / "report.html");
  return read_text(path);
}

std::vector<StepRecord> run(std::int64_t steps) {
  std::vector<StepRecord> records;
  for (std::int64_t step = 1; step <= steps; ++step) records.push_back(a_step(step, steps));
  return records;
}

/// Every element that is opened is closed, in order; nothing comes from outside; there are no scripts.
void expect_whole(const std::string& html) {
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("http")));
  EXPECT_THAT(html, Not(HasSubstr("url(")));
  EXPECT_THAT(html, Not(HasSubstr("@import")));
  static const std::regex tag("<(/?)([a-z0-9]+)[^<>]*?(/?)>");
  std::vector<std::string> open;
  for (auto m = std::sregex_iterator(html.begin(), html.end(), tag); m != std::sregex_iterator(); ++m) {
    const std::string name = (*m)[2];
    if ((*m)[3] == "/" || name == "meta") continue;
    if ((*m)[1] != "/") {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << name;
    ASSERT_EQ(open.back(), name);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

TEST(Report, SaysWhatTheRunDid) {
  auto records = run(50);
  StepRecord before;
  before.total_steps = 50;
  before.eval_loss = 6.25;
  before.exact_match = 0;
  records.insert(records.begin(), before);
  records.back().eval_loss = 0.75;
  records.back().exact_match = 0.915;
  const std::string html = report_of(records, facts());
  expect_whole(html);
  for (const char* text :
       {"my run", "finished", "6.2500 →</span> 0.7500", "0.0 % →</span> 91.5 %", ">50,000<", "45,000 of them trained",
        ">1,000<", ">50 s<", "3.0 MiB", "llama, 1000 parameters", "2 ranks", "hearth 0.1", "a processor", "12 rows",
        "Learning rate", "Gradient norm", "Throughput", "Questions answered exactly",
        "<span class=\"default\">  seed: 42  # default</span>"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
}

TEST(Report, TwoMeasurementsMakeNoCurve) {
  auto records = run(9);
  records[0].exact_match = 0;
  records[8].exact_match = 0.5;
  EXPECT_THAT(report_of(records, facts()), Not(HasSubstr("aria-label=\"Questions")));
  records[4].exact_match = 0.25;
  EXPECT_THAT(report_of(records, facts()), HasSubstr("aria-label=\"Questions"));
}

TEST(Report, OneStepAndNoStep) {
  expect_whole(report_of(run(1), facts()));
  const std::string empty = report_of({}, facts());
  expect_whole(empty);
  EXPECT_THAT(empty, HasSubstr("no step yet"));
  EXPECT_THAT(empty, Not(HasSubstr("<svg")));
}

TEST(Report, ALongRunStaysSmall) {
  auto records = run(20000);
  for (std::size_t i = 0; i < records.size(); i += 20) records[i].eval_loss = 2 + 0.001 * static_cast<double>(i % 7);
  const std::string html = report_of(records, facts());
  EXPECT_LT(html.size(), 200'000u);
  EXPECT_THAT(html, HasSubstr("mean of 400 steps"));
}

TEST(Report, ValuesThatAreNotFiniteAreShownAsSuch) {
  auto records = run(20);
  records[9].loss = std::nan("");
  records[9].norm = HUGE_VAL;
  records[19].loss = std::nan("");
  const std::string html = report_of(records, facts());
  expect_whole(html);
  EXPECT_THAT(html, HasSubstr("not finite at step 10<"));
  EXPECT_THAT(html, HasSubstr("<dd class=\"value\">NaN</dd>"));
  EXPECT_THAT(html, Not(HasSubstr("nan ")));
}

TEST(Report, ARunThatWasNotFinished) {
  auto records = run(20);
  records.resize(12);
  EXPECT_THAT(report_of(records, facts()), HasSubstr("step 12 of 20"));
}

TEST(Report, ARunThatEndedEarlySaysWhy) {
  auto records = run(20);
  records.resize(12);
  ReportFacts about = facts();
  EXPECT_THAT(report_of(records, about), Not(HasSubstr("class=\"ending")));
  about.ending = "interrupted at step 12 & saved";
  const std::string interrupted = report_of(records, about);
  expect_whole(interrupted);
  EXPECT_THAT(interrupted, HasSubstr("<p class=\"ending\">interrupted at step 12 &amp; saved</p>"));
  EXPECT_THAT(interrupted, HasSubstr("<span class=\"state open\">step 12 of 20</span>"));
  about.ending = "step 13: NaN in block head";
  about.broken = true;
  const std::string broken = report_of(records, about);
  expect_whole(broken);
  EXPECT_THAT(broken, HasSubstr("<p class=\"ending broken\">step 13: NaN in block head</p>"));
  EXPECT_THAT(broken, HasSubstr("<span class=\"state broken\">failed after step 12 of 20</span>"));
}

TEST(Report, WithoutPlots) {
  const std::string html = report_of(run(20), facts(), false);
  expect_whole(html);
  EXPECT_THAT(html, Not(HasSubstr("<svg")));
  EXPECT_THAT(html, HasSubstr("20,000"));
}

TEST(Report, ShowsEveryTextAsItIs) {
  const std::string bad = "</pre><b onclick=\"x\">&'\x01\xff";
  ReportFacts about{bad, bad, bad, bad, bad, bad, bad};
  const std::string html = report_of(run(3), about);
  expect_whole(html);
  EXPECT_THAT(html, Not(HasSubstr("<b onclick")));
  EXPECT_THAT(html, HasSubstr("&lt;/pre&gt;&lt;b onclick=&quot;x&quot;&gt;&amp;&#39;\uFFFD\uFFFD"));
}

TEST(Summary, AddsUpAttempts) {
  std::vector<StepRecord> records;
  for (std::int64_t step = 1; step <= 6; ++step) {
    records.push_back(a_step(step, 6));
    records.back().attempt = step <= 4 ? 1 : 2;
    if (step > 4) {
      records.back().elapsed = 0.5 * static_cast<double>(step - 4);
      records.back().throughput = 2000;
    }
  }
  const RunSummary run = summary_of(records);
  EXPECT_DOUBLE_EQ(run.seconds, 5);
  EXPECT_DOUBLE_EQ(run.speed, 6000.0 / 5);
  // What this log does not hold the steps of counts in neither.
  const RunSummary later = summary_of({records[4], records[5]});
  EXPECT_DOUBLE_EQ(later.seconds, 1);
  EXPECT_DOUBLE_EQ(later.speed, 2000);
  EXPECT_EQ(run.attempts, 2);
  EXPECT_EQ(run.began, std::vector<double>{4});
  const auto speed = throughput_of(records);
  ASSERT_EQ(speed.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_DOUBLE_EQ(speed[i].value, i < 4 ? 1000 : 2000) << i;
}

TEST(Summary, StepZeroIsNoStep) {
  StepRecord before;
  before.eval_loss = 3;
  before.elapsed = 9;  // the clock starts again with the first step
  const RunSummary none = summary_of({before});
  EXPECT_EQ(none.seconds, 0);
  EXPECT_DOUBLE_EQ(summary_of({before, a_step(1, 2)}).seconds, 1);
  EXPECT_EQ(none.steps, 0);
  EXPECT_EQ(none.held_out->first_step, none.held_out->last_step);
  const auto speed = throughput_of({before, a_step(1, 2)});
  ASSERT_EQ(speed.size(), 1u);
  EXPECT_DOUBLE_EQ(speed[0].value, 1000);
}

TEST(ReportText, Numbers) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
  EXPECT_EQ(percent_text(0.9999), "99.9 %");
  EXPECT_EQ(percent_text(1), "100.0 %");
  EXPECT_EQ(value_text(2.5), "2.5000");
  EXPECT_EQ(value_text(1.5e30), "1.5e+30");
  EXPECT_EQ(value_text(-HUGE_VAL), "−∞");
  EXPECT_EQ(duration_text(7.84), "7.8 s");
  EXPECT_EQ(duration_text(59.7), "1 min 0 s");
  EXPECT_EQ(duration_text(7384), "2 h 3 min");
  EXPECT_EQ(duration_text(std::nan("")), "unknown");
}

}  // namespace
}  // namespace hearth
