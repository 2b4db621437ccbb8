#include "trainer/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <regex>

#include "report/scratch.h"

namespace hearth {
namespace {

using test::a_step;

/// Columns that a text takes: every character but the continuation bytes of UTF-8 and the colour codes.
int columns_of(const std::string& text) {
  static const std::regex color("\033\\[[0-9;]*m");
  int columns = 0;
  for (const char c : std::regex_replace(text, color, "")) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return columns;
}

StepRecord busy() {
  StepRecord r = a_step(618, 1600);
  r.loss = 1.23456;
  r.throughput = 4213;
  r.remaining = 723;
  r.peak_memory = 812u << 20;
  return r;
}

TEST(Progress, TheBarFitsEveryWidth) {
  for (int columns = 1; columns <= 260; ++columns) {
    for (const StepRecord& record : {busy(), a_step(0, 3), a_step(3, 3), a_step(999999, 1000000), StepRecord{}}) {
      const std::string plain = bar_text(record, columns, false);
      EXPECT_LE(columns_of(plain), std::max(1, columns - 1)) << columns;
      EXPECT_EQ(columns_of(bar_text(record, columns, true)), columns_of(plain)) << columns;
      if (columns >= 14) {
        EXPECT_NE(plain.find(record.step == record.total_steps ? "━" : "─"), std::string::npos) << plain;
      }
    }
  }
}

TEST(Progress, WhatDoesNotFitIsLeftOutWhole) {
  EXPECT_EQ(bar_text(busy(), 40, false), " 38% ━━━━───────  618/1600  loss 1.2346");
  const std::string wide = bar_text(busy(), 200, false);
  EXPECT_NE(wide.find("  618/1600  loss 1.2346  left 0:12:03   4213 tok/s  812 MiB"), std::string::npos) << wide;
  for (int columns = 20; columns <= 200; ++columns) {
    const std::string bar = bar_text(busy(), columns, false);
    const std::string right = bar.substr(bar.rfind("─") + 3);
    EXPECT_EQ(wide.find(right) + right.size() <= wide.size(), true) << bar;
    EXPECT_TRUE(right.empty() || right.back() != ' ') << bar;
  }
}

TEST(Progress, TheBarIsFullOnlyAtTheEnd) {
  EXPECT_EQ(bar_text(a_step(9999, 10000), 80, false).find("100%"), std::string::npos);
  EXPECT_EQ(bar_text(a_step(10000, 10000), 80, false).find("─"), std::string::npos);
  EXPECT_EQ(bar_text(a_step(0, 10), 80, false).find("━"), std::string::npos);
}

TEST(Progress, NothingMovesWhileNumbersGrow) {
  StepRecord early = busy();
  early.step = 7;
  EXPECT_EQ(bar_text(early, 120, false).find("loss"), bar_text(busy(), 120, false).find("loss"));
  EXPECT_EQ(columns_of(bar_text(early, 120, false)), columns_of(bar_text(busy(), 120, false)));
}

TEST(Progress, ValuesThatAreNotThereOrNotFinite) {
  StepRecord r = busy();
  r.loss = std::nullopt;
  EXPECT_NE(bar_text(r, 120, false).find("loss -"), std::string::npos);
  r.loss = std::nan("");
  EXPECT_NE(bar_text(r, 120, false).find("loss nan"), std::string::npos);
  r.loss = 1e30;
  EXPECT_NE(line_text(r).find("loss 1e+30"), std::string::npos) << line_text(r);
}

std::string printed(ProgressStyle style, const std::function<void(Progress&)>& what) {
  std::FILE* file = std::tmpfile();
  {
    Progress progress(style, false, 5, file);
    what(progress);
  }
  std::string text(static_cast<std::size_t>(std::ftell(file)), ' ');
  std::rewind(file);
  EXPECT_EQ(std::fread(text.data(), 1, text.size(), file), text.size());
  std::fclose(file);
  return text;
}

void ten_steps(Progress& progress) {
  for (int step = 1; step <= 12; ++step) progress.step(a_step(step, 12));
}

TEST(Progress, LinesComeAsOftenAsAskedAndAtTheEnd) {
  const std::string text = printed(ProgressStyle::lines, ten_steps);
  EXPECT_EQ(text,
            line_text(a_step(5, 12)) + "\n" + line_text(a_step(10, 12)) + "\n" + line_text(a_step(12, 12)) + "\n");
}

TEST(Progress, NoneIsSilent) {
  EXPECT_EQ(printed(ProgressStyle::none,
                    [](Progress& progress) {
                      ten_steps(progress);
                      progress.note("a word");
                    }),
            "");
}

TEST(Progress, ANoteStandsAboveTheBar) {
  const std::string text = printed(ProgressStyle::bar, [](Progress& progress) {
    progress.note("before");
    progress.step(a_step(1, 2));
    progress.note("a word");
    progress.end();
    progress.note("after");
  });
  const std::string bar = bar_text(a_step(1, 2), 100, false);
  EXPECT_EQ(text, "before\n" + bar + "\r\033[Ka word\n" + bar + "\nafter\n");
}

TEST(Progress, TheBarIsRedrawnAtMostTenTimesASecond) {
  const std::string text = printed(ProgressStyle::bar, [](Progress& progress) {
    StepRecord r = a_step(1, 1000);
    for (r.step = 1; r.step < 1000; ++r.step) {
      r.elapsed = 0.001 * static_cast<double>(r.step);
      progress.step(r);
    }
  });
  EXPECT_LE(std::count(text.begin(), text.end(), '\r'), 10);
  EXPECT_GE(std::count(text.begin(), text.end(), '\r'), 8);
}

TEST(Progress, Bytes) {
  EXPECT_EQ(bytes_text(1.5 * (1 << 30)), "1.5 GiB");
  EXPECT_EQ(bytes_text(812.0 * (1 << 20)), "812 MiB");
  EXPECT_EQ(bytes_text(0), "0.0 KiB");
}

}  // namespace
}  // namespace hearth
