#include "trainer/curves.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <regex>

#include "trainer/curves_axis.h"

namespace hearth {
namespace {

std::vector<CurvePoint> noise(std::size_t count) {
  std::mt19937 random(1);
  std::vector<CurvePoint> points;
  for (std::size_t i = 0; i < count; ++i) {
    points.push_back({static_cast<double>(i + 1), 2 + 1e-3 * static_cast<double>(random() % 1000)});
  }
  return points;
}

CurveFigure figure(std::vector<CurvePoint> points, CurveScale scale = CurveScale::fitted) {
  return {"Loss", "nats", {{"each step", "main", std::move(points)}}, {}, scale};
}

bool holds(const std::vector<CurvePoint>& points, double step) {
  return std::any_of(points.begin(), points.end(), [&](const CurvePoint& p) { return p.step == step; });
}

TEST(Thinned, FewPointsStay) {
  EXPECT_EQ(thinned(noise(1000), 1000).size(), 1000u);
  EXPECT_TRUE(thinned({}, 1000).empty());
}

TEST(Thinned, ManyPointsKeepTheirExtremesAndEnds) {
  auto points = noise(100000);
  points[4711].value = 99;
  points[31415].value = -99;
  points[27182].value = std::nan("");
  points[99998].value = HUGE_VAL;
  const auto few = thinned(points, 1000);
  EXPECT_LE(few.size(), 1010u);
  for (const double step : {1.0, 4712.0, 31416.0, 27183.0, 99999.0, 100000.0}) EXPECT_TRUE(holds(few, step)) << step;
  EXPECT_TRUE(std::is_sorted(few.begin(), few.end(), [](const auto& a, const auto& b) { return a.step < b.step; }));
}

TEST(Thinned, NothingButNaN) {
  auto points = noise(5000);
  for (CurvePoint& p : points) p.value = std::nan("");
  const auto few = thinned(points, 100);
  EXPECT_LE(few.size(), 60u);
  EXPECT_FALSE(few.empty());
}

TEST(RunningMean, IsTheMeanOfTheFiniteNeighbours) {
  const std::vector<CurvePoint> points = {{1, 1}, {2, 2}, {3, std::nan("")}, {4, 6}, {5, 7}};
  const auto means = running_mean(points, 3);
  ASSERT_EQ(means.size(), 5u);
  EXPECT_DOUBLE_EQ(means[0].value, 1.5);
  EXPECT_DOUBLE_EQ(means[1].value, 1.5);
  EXPECT_DOUBLE_EQ(means[2].value, 4);
  EXPECT_DOUBLE_EQ(means[4].value, 6.5);
}

TEST(Axis, HoldsEveryValueAndFewRoundTicks) {
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    const double size = std::pow(10.0, static_cast<int>(random() % 40) - 20);
    const double low = size * (static_cast<double>(random() % 2000) - 1000);
    const double high = low + size * static_cast<double>(random() % 1000) / 10;
    for (const CurveScale scale : {CurveScale::fitted, CurveScale::from_zero, CurveScale::logarithmic}) {
      const CurveAxis axis = value_axis(figure({{1, low}, {2, high}}, scale));
      EXPECT_LT(axis.low, axis.high);
      for (const double value : {low, high}) {
        EXPECT_GE(axis.share(value), -1e-3) << low << " " << high;
        EXPECT_LE(axis.share(value), 1 + 1e-3) << low << " " << high;
      }
      EXPECT_GE(axis.ticks.size(), 2u) << low << " " << high;
      EXPECT_LE(axis.ticks.size(), 14u) << low << " " << high;
      auto labels = tick_labels(axis.ticks);
      EXPECT_EQ(std::unique(labels.begin(), labels.end()), labels.end()) << low << " " << high << " " << labels[0];
    }
  }
}

TEST(Axis, StepsAreWholeAndBeginAtZero) {
  for (const double last : {1.0, 2.0, 3.0, 7.0, 57.0, 800.0, 12345.0, 1e6}) {
    const CurveAxis axis = step_axis(figure({{1, 1}, {last, 1}}));
    EXPECT_EQ(axis.low, 0);
    EXPECT_EQ(axis.high, last);
    for (const double tick : axis.ticks) EXPECT_EQ(tick, std::round(tick)) << last;
    EXPECT_LE(axis.ticks.size(), 12u) << last;
  }
  EXPECT_EQ(step_axis(figure({{500, 1}, {900, 1}})).low, 500);
}

TEST(Axis, LabelsReadAsPeopleWriteThem) {
  using Labels = std::vector<std::string>;
  EXPECT_EQ(tick_labels({0, 0.5, 1}), (Labels{"0", "0.5", "1.0"}));
  EXPECT_EQ(tick_labels({0, 200, 400}), (Labels{"0", "200", "400"}));
  EXPECT_EQ(tick_labels({0, 50000, 100000}), (Labels{"0", "50k", "100k"}));
  EXPECT_EQ(tick_labels({0, 2500, 5000, 7500, 10000}), (Labels{"0", "2.5k", "5.0k", "7.5k", "10.0k"}));
  EXPECT_EQ(tick_labels({0, 2.5e-4, 5e-4, 1e-3}), (Labels{"0", "2.5e-4", "5e-4", "1e-3"}));
  EXPECT_EQ(tick_labels({2.45, 2.5, 2.55}), (Labels{"2.45", "2.50", "2.55"}));
  EXPECT_EQ(tick_labels({0.1, 1, 10}), (Labels{"0.1", "1", "10"}));
  EXPECT_EQ(tick_labels({1, 1e3, 1e6}), (Labels{"1e0", "1e3", "1e6"}));
  EXPECT_TRUE(tick_labels({}).empty());
}

TEST(Scale, IsLogarithmicWhereFewValuesDwarfTheRest) {
  auto points = noise(100);
  EXPECT_EQ(scale_for(points, CurveScale::fitted), CurveScale::fitted);
  points[50].value = 1e6;
  EXPECT_EQ(scale_for(points, CurveScale::fitted), CurveScale::logarithmic);
  points[51].value = 0;
  EXPECT_EQ(scale_for(points, CurveScale::from_zero), CurveScale::from_zero);
}

/// Every coordinate of the drawing lies in its view box and is a number.
void expect_inside(const std::string& html, double width, double height) {
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_EQ(html.find("inf"), std::string::npos);
  static const std::regex point("[ML](-?[0-9.]+) (-?[0-9.]+)");
  for (auto m = std::sregex_iterator(html.begin(), html.end(), point); m != std::sregex_iterator(); ++m) {
    EXPECT_GE(std::stod((*m)[1]), 0);
    EXPECT_LE(std::stod((*m)[1]), width);
    EXPECT_GE(std::stod((*m)[2]), 0);
    EXPECT_LE(std::stod((*m)[2]), height);
  }
}

TEST(Figure, DrawsWhateverIsInALog) {
  const double least = 5e-324;
  const std::vector<std::vector<CurvePoint>> logs = {
      {{1, 2.5}},
      {{1, 0}, {2, 0}},
      {{1, 1e300}, {2, -1e300}, {3, 1}},
      {{1, least}, {2, 1}, {3, 1e100}},
      {{1, std::nan("")}, {2, 3}, {3, HUGE_VAL}, {4, 3}, {5, 2}},
      noise(3000),
  };
  for (const auto& log : logs) {
    for (const CurveScale scale : {CurveScale::fitted, CurveScale::from_zero, CurveScale::logarithmic}) {
      expect_inside(figure_html(figure(log, scale)), 490, 240);
    }
  }
}

TEST(Figure, APointBetweenTwoGapsIsADot) {
  const std::string html = figure_html(figure({{1, std::nan("")}, {2, 3}, {3, std::nan("")}}));
  EXPECT_NE(html.find("<circle"), std::string::npos);
  EXPECT_NE(html.find("not finite at step 1<"), std::string::npos);
  EXPECT_NE(html.find("not finite at step 3<"), std::string::npos);
  EXPECT_NE(html.find("<span class=\"key broken\">"), std::string::npos);
}

TEST(Figure, WithoutAnyValueItSaysSo) {
  EXPECT_NE(figure_html(figure({{1, std::nan("")}})).find("No value"), std::string::npos);
  EXPECT_NE(figure_html(figure({})).find("No value"), std::string::npos);
}

TEST(Figure, LegendAndUnitNameWhatIsDrawn) {
  CurveFigure two = figure(noise(30));
  two.series.push_back({"held <out>", "held", {{10, 2.2}, {20, 2.1}}});
  two.began = {12};
  EXPECT_EQ(figure_html(two).find("<span class=\"key began\">"), std::string::npos);
  two.size = CurveSize::large;
  const std::string html = figure_html(two);
  EXPECT_NE(html.find("held &lt;out&gt;"), std::string::npos);
  EXPECT_NE(html.find("continued after step 12"), std::string::npos);
  EXPECT_NE(html.find("<title>step 20: 2.1</title>"), std::string::npos);
  EXPECT_NE(html.find("nats"), std::string::npos);
  EXPECT_NE(html.find("<span class=\"key began\">"), std::string::npos);
}

}  // namespace
}  // namespace hearth
