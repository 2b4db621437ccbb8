#include "data/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace hearth {
namespace {

TEST(Sampler, EveryEpochHasEveryRowOnceInItsOwnOrder) {
  const Sampler sampler(Key(5), 101, 8, Order::shuffled);
  std::set<std::vector<std::int64_t>> orders;
  for (std::int64_t epoch = 0; epoch < 6; ++epoch) {
    std::vector<std::int64_t> order;
    for (std::int64_t p = 0; p < 101; ++p) order.push_back(sampler.row_at(epoch * 101 + p));
    EXPECT_EQ(std::set<std::int64_t>(order.begin(), order.end()).size(), 101U);
    EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6U);
}

TEST(Sampler, StepsAreWindowsOfOneCursor) {
  const Sampler sampler(Key(5), 10, 4, Order::shuffled);
  std::vector<std::int64_t> walked, expected;
  for (std::int64_t step = 0; step < 10; ++step) {
    const auto rows = sampler.rows_of(step);
    EXPECT_EQ(rows.size(), 4U);
    walked.insert(walked.end(), rows.begin(), rows.end());
  }
  for (std::int64_t p = 0; p < 40; ++p) expected.push_back(sampler.row_at(p));
  EXPECT_EQ(walked, expected);
}

TEST(Sampler, OnlyTheLastStepOfTheRunIsShort) {
  const Sampler sampler(Key(5), 10, 4, Order::shuffled, Sampler::positions_in(1, 10));
  EXPECT_EQ(sampler.steps(), 3);
  EXPECT_EQ(sampler.rows_of(2).size(), 2U);
  EXPECT_TRUE(sampler.rows_of(3).empty());
  const Sampler two(Key(5), 10, 4, Order::shuffled, Sampler::positions_in(2, 10));
  EXPECT_EQ(two.steps(), 5);
  for (std::int64_t step = 0; step < 5; ++step) EXPECT_EQ(two.rows_of(step).size(), 4U);
}

TEST(Sampler, InFileOrderAStepTakesTheNextRowsAndWraps) {
  const Sampler sampler(Key(5), 5, 2, Order::as_in_file);
  EXPECT_THAT(sampler.rows_of(0), testing::ElementsAre(0, 1));
  EXPECT_THAT(sampler.rows_of(1), testing::ElementsAre(2, 3));
  EXPECT_THAT(sampler.rows_of(2), testing::ElementsAre(4, 0));
  EXPECT_THAT(sampler.rows_of(3), testing::ElementsAre(1, 2));
}

TEST(Sampler, AStepLargerThanTheDatasetGoesOnInTheNextEpoch) {
  const Sampler sampler(Key(1), 3, 7, Order::as_in_file);
  EXPECT_THAT(sampler.rows_of(0), testing::ElementsAre(0, 1, 2, 0, 1, 2, 0));
}

TEST(Sampler, AnotherSeedIsAnotherOrder) {
  const auto rows = [](std::uint64_t seed) { return Sampler(Key(seed), 50, 50, Order::shuffled).rows_of(0); };
  EXPECT_EQ(rows(1), rows(1));
  EXPECT_NE(rows(1), rows(2));
}

TEST(Sampler, FractionsOfEpochs) {
  EXPECT_EQ(Sampler::positions_in(0.5, 10), 5);
  EXPECT_EQ(Sampler::positions_in(2.25, 10), 23);
  EXPECT_EQ(Sampler::positions_in(0.001, 10), 1);
}

}  // namespace
}  // namespace hearth
