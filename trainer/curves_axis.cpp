#include "trainer/curves_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace hearth {

namespace {

constexpr double nothing = 1e150;

double nice_step(double range, int about) {
  const double rough = range / about;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

std::vector<double> multiples(double low, double high, double step) {
  std::vector<double> ticks;
  const double first = std::ceil(low / step - 1e-6);
  for (int i = 0; i < 50 && (first + i) * step <= high + 1e-6 * step; ++i) ticks.push_back((first + i) * step);
  return ticks;
}

/// Ticks of a logarithmic axis: powers of ten; with 2 and 5 between them where there are few.
std::vector<double> log_ticks(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const int every = std::max(1, (last - first) / 7);
  std::vector<double> ticks;
  for (int power = first; power <= last; power += every) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor > 1 && last - first > 3) continue;
      const double tick = factor * std::pow(10.0, power);
      if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
    }
  }
  return ticks;
}

CurveAxis log_axis(double low, double high) {
  CurveAxis axis;
  axis.logarithmic = true;
  axis.low = low / 1.1;
  axis.high = high * 1.1;
  axis.ticks = log_ticks(axis.low, axis.high);
  if (axis.ticks.size() < 2) axis.ticks = multiples(axis.low, axis.high, nice_step(axis.high - axis.low, 4));
  return axis;
}

CurveAxis linear_axis(double low, double high, int about) {
  if (!(high - low > 1e-9 * std::max(std::abs(low), std::abs(high)))) {
    const double around = high == 0 ? 1 : 0.1 * std::abs(high);
    if (low != 0) low -= around;
    high += around;
  }
  const double step = nice_step(high - low, about);
  CurveAxis axis;
  axis.low = std::floor(low / step + 1e-6) * step;
  axis.high = std::ceil(high / step - 1e-6) * step;
  axis.ticks = multiples(axis.low, axis.high, step);
  return axis;
}

bool is_zero(double tick, double apart) {
  return std::abs(tick) < 1e-6 * apart;
}

/// "2.5e-4", with as many digits as it takes to tell neighbours apart.
std::vector<std::string> powers(const std::vector<double>& ticks, double apart) {
  std::vector<std::string> labels;
  for (int digits = 3; digits <= 17; ++digits) {
    labels.clear();
    for (const double tick : ticks) {
      if (is_zero(tick, apart)) {
        labels.emplace_back("0");
        continue;
      }
      const int power = static_cast<int>(std::floor(std::log10(std::abs(tick)) + 1e-9));
      labels.push_back(fmt::format("{:.{}g}e{}", tick / std::pow(10.0, power), digits, power));
    }
    if (std::adjacent_find(labels.begin(), labels.end()) == labels.end()) break;
  }
  return labels;
}

std::pair<double, const char*> unit_of(double largest) {
  if (largest < 1e4) return {1, ""};
  if (largest < 1e6) return {1e3, "k"};
  if (largest < 1e9) return {1e6, "M"};
  return {1e9, "G"};
}

}  // namespace

bool is_drawable(double value) {
  return std::isfinite(value) && std::abs(value) < nothing;
}

double CurveAxis::share(double value) const {
  if (logarithmic) return std::log(value / low) / std::log(high / low);
  return (value - low) / (high - low);
}

CurveAxis value_axis(const CurveFigure& figure) {
  double low = nothing;
  double high = -nothing;
  for (const CurveSeries& series : figure.series) {
    for (const CurvePoint& point : series.points) {
      if (!is_drawable(point.value)) continue;
      low = std::min(low, point.value);
      high = std::max(high, point.value);
    }
  }
  if (low > high) return {};
  if (figure.scale == CurveScale::logarithmic && low > 1 / nothing) return log_axis(low, high);
  if (figure.scale == CurveScale::from_zero) low = std::min(low, 0.0);
  return linear_axis(low, high, figure.height() / 50);
}

CurveAxis step_axis(const CurveFigure& figure) {
  double first = nothing;
  double last = 0;
  for (const CurveSeries& series : figure.series) {
    if (series.points.empty()) continue;
    first = std::min(first, series.points.front().step);
    last = std::max(last, series.points.back().step);
  }
  CurveAxis axis;
  axis.low = first <= 1 ? 0 : first;
  axis.high = last;
  if (axis.high <= axis.low) axis.high = axis.low + 1;
  const double step = std::max(1.0, nice_step(axis.high - axis.low, figure.width() / 90));
  axis.ticks = multiples(axis.low, axis.high, step == 2.5 ? 5 : step);
  return axis;
}

std::vector<std::string> tick_labels(const std::vector<double>& ticks) {
  double largest = 0;
  double least = nothing;
  double apart = nothing;
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    largest = std::max(largest, std::abs(ticks[i]));
    if (ticks[i] != 0) least = std::min(least, std::abs(ticks[i]));
    if (i > 0) apart = std::min(apart, ticks[i] - ticks[i - 1]);
  }
  if (apart == nothing) apart = largest > 0 ? largest : 1;
  // Tiny and huge values, and those over many decades, have no unit in common.
  if (largest > 1e5 * least || largest >= 1e16 || largest < 1e-2) return powers(ticks, apart);
  if (largest > 20 * least) {  // of a logarithmic axis
    std::vector<std::string> labels;
    for (const double tick : ticks) labels.push_back(fmt::format("{:.6g}", tick));
    return labels;
  }
  const auto [unit, name] = unit_of(largest);
  int digits = 0;
  for (double steps = apart / unit; digits < 12 && std::abs(steps - std::round(steps)) > 1e-6; steps *= 10) ++digits;
  std::vector<std::string> labels;
  for (const double tick : ticks) {
    labels.push_back(is_zero(tick, apart) ? "0" : fmt::format("{:.{}f}{}", tick / unit, digits, name));
  }
  return labels;
}

}  // namespace hearth
