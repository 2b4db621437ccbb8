#include "parallel/balance.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "base/error.h"

namespace hearth {

namespace {

constexpr double impossible = std::numeric_limits<double>::infinity();

/// least[k][i]: the smallest largest sum when the elements from i on are cut into k parts, none empty.
std::vector<std::vector<double>> least_largest(std::span<const double> costs, std::size_t parts) {
  const std::size_t n = costs.size();
  std::vector<std::vector<double>> least(parts + 1, std::vector<double>(n + 1, impossible));
  least[0][n] = 0;
  for (std::size_t k = 1; k <= parts; ++k) {
    for (std::size_t i = 0; i < n; ++i) {
      double sum = 0;
      for (std::size_t end = i + 1; end <= n; ++end) {
        sum += costs[end - 1];
        if (sum >= least[k][i]) break;  // longer first parts only get larger
        least[k][i] = std::min(least[k][i], std::max(sum, least[k - 1][end]));
      }
    }
  }
  return least;
}

}  // namespace

std::vector<int> balanced(std::span<const double> costs, int parts) {
  require(parts > 0, "blocks are cut into one part or more");
  require(std::all_of(costs.begin(), costs.end(), [](double cost) { return std::isfinite(cost) && cost >= 0; }),
          "costs of blocks are finite and not negative");
  const std::size_t full = std::min(costs.size(), static_cast<std::size_t>(parts));  // parts that get an element
  const auto least = least_largest(costs, full);
  const double limit = least[full][0];
  std::vector<int> begins = {0};
  std::size_t at = 0;
  for (std::size_t left = full; left > 0; --left) {
    double sum = costs[at];
    std::size_t end = at + 1;
    for (; least[left - 1][end] > limit; ++end) sum += costs[end];
    require(sum <= limit, "the cut that the dynamic programme found exists");
    at = end;
    begins.push_back(static_cast<int>(at));
  }
  begins.resize(static_cast<std::size_t>(parts) + 1, static_cast<int>(costs.size()));
  return begins;
}

}  // namespace hearth
