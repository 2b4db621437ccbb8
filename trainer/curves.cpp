#include "trainer/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "trainer/curves_axis.h"
#include "trainer/report_text.h"

namespace hearth {

namespace {

constexpr std::size_t points_drawn = 1000;
constexpr std::size_t dots_drawn = 60;
constexpr double letter = 6.3;  // width of a digit of the axes' labels, at their 11 units

/// The drawing's inside, and the way from values to its coordinates.
struct Frame {
  CurveAxis steps;
  CurveAxis values;
  double left, right, top, bottom;

  double x(double step) const { return left + steps.share(step) * (right - left); }
  double y(double value) const { return bottom - values.share(value) * (bottom - top); }
};

Frame frame_of(const CurveFigure& figure) {
  Frame frame{step_axis(figure), value_axis(figure), 0, 0, 0, 0};
  std::size_t longest = 1;
  for (const std::string& label : tick_labels(frame.values.ticks)) longest = std::max(longest, label.size());
  frame.left = 14 + letter * static_cast<double>(longest);
  frame.right = figure.width() - 20;
  frame.top = 12;
  frame.bottom = figure.height() - 38;
  return frame;
}

std::string axes(const Frame& frame) {
  std::string out = "<g class=\"axis\">\n";
  const auto values = tick_labels(frame.values.ticks);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double y = frame.y(frame.values.ticks[i]);
    fmt::format_to(std::back_inserter(out),
                   "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
                   "<text x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
                   frame.left, frame.right, y, frame.left - 6, y + 3.8, values[i]);
  }
  fmt::format_to(std::back_inserter(out), "<line x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n",
                 frame.left, frame.right, frame.bottom);
  const auto steps = tick_labels(frame.steps.ticks);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    fmt::format_to(std::back_inserter(out),
                   "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
                   "<text x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\">{4}</text>\n",
                   frame.x(frame.steps.ticks[i]), frame.bottom, frame.bottom + 4, frame.bottom + 16, steps[i]);
  }
  fmt::format_to(std::back_inserter(out),
                 "<text class=\"name\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">step</text>\n</g>\n",
                 (frame.left + frame.right) / 2, frame.bottom + 32);
  return out;
}

/// Dashed lines where later attempts began; of those that would touch, one.
std::string beginnings(const CurveFigure& figure, const Frame& frame) {
  std::string out;
  double previous = -1;
  for (const double step : figure.began) {
    const double x = frame.x(step);
    if (previous >= 0 && x - previous < 3) continue;
    previous = x;
    fmt::format_to(std::back_inserter(out),
                   "<line class=\"began\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"><title>continued "
                   "after step {3:.0f}</title></line>\n",
                   x, frame.top, frame.bottom, step);
  }
  return out;
}

struct Drawn {
  std::string svg;
  bool any = false;
  bool broken = false;  // some values were not finite
};

/// A line through the drawable points; points between two gaps become dots, so that nothing disappears.
Drawn drawn(const CurveSeries& series, const Frame& frame) {
  Drawn out;
  std::string path, dots, marks;
  const auto points = thinned(series.points, points_drawn);
  const bool dotted = series.look == "held" && points.size() <= dots_drawn;
  const auto drawable = [&](std::size_t i) { return i < points.size() && is_drawable(points[i].value); };
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double x = frame.x(points[i].step);
    if (!drawable(i)) {
      out.broken = true;
      fmt::format_to(std::back_inserter(marks),
                     "<path class=\"broken\" d=\"M{:.1f} {:.1f}l4.5 -8h-9z\"><title>not finite at step "
                     "{:.0f}</title></path>\n",
                     x, frame.top + 4, points[i].step);
      continue;
    }
    out.any = true;
    const double y = frame.y(points[i].value);
    const bool begins = i == 0 || !drawable(i - 1);
    fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", begins ? "M" : "L", x, y);
    if (dotted || (begins && !drawable(i + 1))) {
      fmt::format_to(std::back_inserter(dots),
                     "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>step {:.0f}: {:.5g}</title>"
                     "</circle>\n",
                     series.look, x, y, points[i].step, points[i].value);
    }
  }
  if (!path.empty()) out.svg = fmt::format("<path class=\"line {}\" d=\"{}\"/>\n", series.look, path);
  out.svg += dots + marks;
  return out;
}

std::string key(std::string_view look, std::string_view name) {
  return fmt::format("<span class=\"key {}\">{}</span>", look, escaped(name));
}

}  // namespace

std::string figure_html(const CurveFigure& figure) {
  const Frame frame = frame_of(figure);
  std::string lines, keys;
  bool any = false;
  bool broken = false;
  for (const CurveSeries& series : figure.series) {
    const Drawn one = drawn(series, frame);
    lines += one.svg;
    any = any || one.any;
    broken = broken || one.broken;
    if (one.any && figure.series.size() > 1) keys += key(series.look, series.name);
  }
  if (!figure.began.empty() && figure.size == CurveSize::large) keys += key("began", "continued");
  if (broken) keys += key("broken", "not finite");
  std::string unit = figure.unit;
  if (frame.values.logarithmic) unit += unit.empty() ? "logarithmic" : ", logarithmic";
  std::string out = fmt::format("<figure{}>\n<figcaption><b>{}</b> <span class=\"unit\">{}</span>{}</figcaption>\n",
                                figure.size == CurveSize::small ? "" : " class=\"wide\"", escaped(figure.title),
                                escaped(unit), keys.empty() ? "" : "<span class=\"keys\">" + keys + "</span>");
  if (!any) return out + "<p class=\"none\">No value that could be drawn.</p>\n</figure>\n";
  fmt::format_to(std::back_inserter(out), "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{} over steps\">\n",
                 figure.width(), figure.height(), escaped(figure.title));
  return out + axes(frame) + beginnings(figure, frame) + lines + "</svg>\n</figure>\n";
}

std::vector<CurvePoint> thinned(const std::vector<CurvePoint>& points, std::size_t most) {
  if (points.size() <= most) return points;
  const std::size_t intervals = std::max<std::size_t>(1, most / 2);
  std::vector<std::size_t> chosen = {0};
  for (std::size_t i = 0; i < intervals; ++i) {
    const std::size_t end = points.size() * (i + 1) / intervals;
    std::size_t least = points.size(), largest = points.size(), broken = points.size();
    for (std::size_t p = points.size() * i / intervals; p < end; ++p) {
      if (!is_drawable(points[p].value)) {
        broken = p;
        continue;
      }
      if (least == points.size() || points[p].value < points[least].value) least = p;
      if (largest == points.size() || points[p].value > points[largest].value) largest = p;
    }
    for (const std::size_t p : {least, largest, broken}) {
      if (p < points.size()) chosen.push_back(p);
    }
  }
  chosen.push_back(points.size() - 1);
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  std::vector<CurvePoint> few;
  for (const std::size_t p : chosen) few.push_back(points[p]);
  return few;
}

std::vector<CurvePoint> running_mean(const std::vector<CurvePoint>& points, std::size_t window) {
  const std::size_t every = std::max<std::size_t>(1, points.size() / 500);
  std::vector<CurvePoint> means;
  for (std::size_t i = 0; i < points.size(); i += every) {
    const std::size_t begin = i - std::min(i, window / 2);
    const std::size_t end = std::min(points.size(), i + window - window / 2);
    double sum = 0;
    std::size_t count = 0;
    for (std::size_t p = begin; p < end; ++p) {
      if (!is_drawable(points[p].value)) continue;
      sum += points[p].value;
      ++count;
    }
    if (count > 0) means.push_back({points[i].step, sum / static_cast<double>(count)});
  }
  return means;
}

CurveScale scale_for(const std::vector<CurvePoint>& points, CurveScale usual) {
  std::vector<double> values;
  for (const CurvePoint& point : points) {
    if (is_drawable(point.value)) values.push_back(point.value);
  }
  if (values.size() < 3) return usual;
  std::sort(values.begin(), values.end());
  return values.front() > 0 && values.back() > 20 * values[values.size() / 2] ? CurveScale::logarithmic : usual;
}

}  // namespace hearth
