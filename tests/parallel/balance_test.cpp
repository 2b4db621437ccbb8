#include "parallel/balance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/random.h"

namespace hearth {
namespace {

using testing::ElementsAre;

double largest_sum(const std::vector<double>& costs, const std::vector<int>& begins) {
  double largest = 0;
  for (std::size_t part = 0; part + 1 < begins.size(); ++part) {
    double sum = 0;
    for (int i = begins[part]; i < begins[part + 1]; ++i) sum += costs[static_cast<std::size_t>(i)];
    largest = std::max(largest, sum);
  }
  return largest;
}

/// Every way to cut into non-empty parts, smallest begins first, of which the first best is kept.
void try_all(const std::vector<double>& costs, std::size_t parts, std::vector<int>& begins, std::vector<int>& best) {
  const int n = static_cast<int>(costs.size());
  if (begins.size() == parts) {
    begins.push_back(n);
    if (best.empty() || largest_sum(costs, begins) < largest_sum(costs, best)) best = begins;
    begins.pop_back();
    return;
  }
  const int left = static_cast<int>(parts - begins.size());
  for (int next = begins.back() + 1; next <= n - left; ++next) {
    begins.push_back(next);
    try_all(costs, parts, begins, best);
    begins.pop_back();
  }
}

std::vector<int> by_brute_force(const std::vector<double>& costs, int parts) {
  std::vector<int> begins = {0};
  std::vector<int> best;
  try_all(costs, static_cast<std::size_t>(parts), begins, best);
  return best;
}

TEST(Balanced, IsTheBestOfAllWays) {
  const Key key = Key(7).with("costs");
  std::uint64_t index = 0;
  int compared = 0;
  for (int n = 1; n <= 10; ++n) {
    for (int parts = 1; parts <= n; ++parts) {
      for (int draw = 0; draw < 12; ++draw) {
        std::vector<double> costs;
        for (int i = 0; i < n; ++i) {
          const double few = static_cast<double>(key.below(4, index++));  // many ties, zeros among them
          costs.push_back(draw % 2 == 0 ? few : 0.1 + key.uniform(index++));
        }
        EXPECT_EQ(balanced(costs, parts), by_brute_force(costs, parts)) << testing::PrintToString(costs) << parts;
        ++compared;
      }
    }
  }
  EXPECT_EQ(compared, 55 * 12);
}

TEST(Balanced, EarlyPartsAreTheSmallestAmongEquals) {
  EXPECT_THAT(balanced(std::vector<double>(5, 1.0), 3), ElementsAre(0, 1, 3, 5));
  EXPECT_THAT(balanced(std::vector<double>{10, 1, 1, 1}, 3), ElementsAre(0, 1, 2, 4));
}

TEST(Balanced, EmbeddingAndHeadCount) {
  const std::vector<double> costs = {0, 1, 2, 1, 2, 1, 2, 1, 2, 0, 6};  // a small model with a large vocabulary
  EXPECT_THAT(balanced(costs, 2), ElementsAre(0, 7, 11));
  EXPECT_THAT(balanced(costs, 3), ElementsAre(0, 5, 9, 11));
}

TEST(Balanced, NoPartIsEmptyWhileThereIsAnElementForEach) {
  EXPECT_THAT(balanced(std::vector<double>{5, 0, 0, 0}, 4), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(balanced(std::vector<double>{1, 1}, 4), ElementsAre(0, 1, 2, 2, 2));
  EXPECT_THAT(balanced(std::vector<double>{}, 2), ElementsAre(0, 0, 0));
}

TEST(Balanced, WhatIsNoCostIsRefused) {
  EXPECT_THROW(balanced(std::vector<double>{1, -1}, 1), Error);
  EXPECT_THROW(balanced(std::vector<double>{1, std::numeric_limits<double>::quiet_NaN()}, 1), Error);
  EXPECT_THROW(balanced(std::vector<double>{1}, 0), Error);
}

}  // namespace
}  // namespace hearth
