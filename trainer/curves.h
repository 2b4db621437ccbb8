// Curves over the steps of a run, drawn as SVG that the page's style sheet colours (trainer/report_style.cpp).
#pragma once

#include <string>
#include <vector>

namespace hearth {

struct CurvePoint {
  double step = 0;
  double value = 0;  // may be NaN or infinite: the curve breaks there and a mark stands at the upper edge
};

struct CurveSeries {
  std::string name;
  std::string look;  // CSS class: "raw" (faint), "main", "held" (held-out, with a dot at each point while they are few)
  std::vector<CurvePoint> points;  // steps ascend
};

enum class CurveScale {
  fitted,       // from the least value to the largest
  from_zero,    // from 0, where no value is below it
  logarithmic,  // where all values are above 0, otherwise fitted
};

enum class CurveSize {
  small,  // half the page wide
  wide,   // as high as a small one
  large,  // the page's first: its legend explains the dashed lines of all
};

struct CurveFigure {
  std::string title;
  std::string unit;
  std::vector<CurveSeries> series;
  std::vector<double> began;  // steps after which a later attempt went on: dashed lines
  CurveScale scale = CurveScale::fitted;
  CurveSize size = CurveSize::small;

  int width() const { return size == CurveSize::small ? 490 : 1000; }  // of the drawing, in its own units
  int height() const { return size == CurveSize::large ? 320 : 240; }
};

/// A <figure>: title, unit and legend as text, then the drawing. All texts are escaped. Without a point that can be
/// drawn it says so instead of showing empty axes.
std::string figure_html(const CurveFigure& figure);

/// About `most` points that look like all of them: of each interval the least and the largest value, and one that is
/// not finite where there is one; the first and the last point always. Ascending.
std::vector<CurvePoint> thinned(const std::vector<CurvePoint>& points, std::size_t most);
/// Means over the `window` points around a point (fewer at the ends), at about 500 of the points; values that cannot be
/// drawn do not count in them.
std::vector<CurvePoint> running_mean(const std::vector<CurvePoint>& points, std::size_t window);
/// logarithmic where few values dwarf the rest and all are above 0, otherwise `usual`.
CurveScale scale_for(const std::vector<CurvePoint>& points, CurveScale usual);

}  // namespace hearth
