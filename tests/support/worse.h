// Errors of which the largest counts.
#pragma once

#include <algorithm>
#include <cmath>

namespace hearth::test {

/// The larger error. One that is no number stays for good, where std::max would drop it: no bound holds it.
inline double worse(double worst, double error) {
  if (std::isnan(worst) || std::isnan(error)) return std::nan("");
  return std::max(worst, error);
}

}  // namespace hearth::test
