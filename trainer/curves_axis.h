// The vertical extent of a figure and how values fall into it.
#pragma once

#include <string>
#include <vector>

#include "trainer/curves.h"

namespace hearth {

struct CurveAxis {
  double low = 0;
  double high = 1;
  bool logarithmic = false;
  std::vector<double> ticks;

  /// Where `value` lies: 0 at low, 1 at high.
  double share(double value) const;
};

/// True of values that can be drawn: finite, and far enough from the largest double for their differences to be finite.
bool is_drawable(double value);

/// An axis on which every drawable value of `figure` lies.
CurveAxis value_axis(const CurveFigure& figure);
/// From 0 (or the first step, where a log begins late) to the last step; ticks at whole steps.
CurveAxis step_axis(const CurveFigure& figure);
/// The labels of ticks, all in one format: "0.25", "12k", "3e-4".
std::vector<std::string> tick_labels(const std::vector<double>& ticks);

}  // namespace hearth
