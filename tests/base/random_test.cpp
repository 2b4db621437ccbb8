#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace hearth {
namespace {

TEST(Key, NormalHasItsMoments) {
  const Key key = Key(7).with("moments");
  const int n = 200000;
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  for (int i = 0; i < n; ++i) {
    const double x = key.normal(static_cast<std::uint64_t>(i));
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }
  // Five standard errors of each moment of n draws.
  EXPECT_LT(std::abs(sum / n), 5 / std::sqrt(n));
  EXPECT_LT(std::abs(squares / n - 1), 5 * std::sqrt(2.0 / n));
  EXPECT_LT(std::abs(fourth / n - 3), 5 * std::sqrt(96.0 / n));
}

TEST(Key, StreamsDiffer) {
  std::set<std::uint64_t> words;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (const char* name : {"a", "b", "ab"}) {
      for (std::uint64_t i = 0; i < 10; ++i) words.insert(Key(seed).with(name).with(i).word(0));
    }
  }
  EXPECT_EQ(words.size(), 300U);
}

TEST(Key, BelowIsEven) {
  std::vector<int> counts(6);
  for (std::uint64_t i = 0; i < 60000; ++i) ++counts[Key(3).below(6, i)];
  for (const int count : counts) EXPECT_LT(std::abs(count - 10000), 5 * std::sqrt(10000.0 * 5 / 6));
}

TEST(Permutation, VisitsEverythingOnce) {
  for (const std::uint64_t size : {1U, 2U, 3U, 7U, 64U, 1000U, 4097U}) {
    const Permutation permutation(Key(5).with(size), size);
    std::set<std::uint64_t> seen;
    for (std::uint64_t i = 0; i < size; ++i) {
      const std::uint64_t place = permutation(i);
      EXPECT_LT(place, size);
      seen.insert(place);
    }
    EXPECT_EQ(seen.size(), size);
  }
}

}  // namespace
}  // namespace hearth
