// What is planned for a microbatch holds wherever it lies: inside an epoch, across the end of one, across several.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "data/sampler.h"
#include "job/job.h"
#include "trainer/metrics.h"
#include "trainer/step.h"

namespace hearth {
namespace {

using test::JobOptions;

ListedRows rows_of(const std::vector<std::int64_t>& lengths) {
  std::vector<Row> rows;
  for (const std::int64_t length : lengths) {
    rows.push_back(labelled_row(std::vector<std::int32_t>(static_cast<std::size_t>(length), 1), {}));
  }
  return ListedRows(std::move(rows));
}

/// The longest microbatch of all runs in which every epoch has an order of its own: each place's microbatch by itself,
/// with every subset of the epoch's rows that its head and its tail may be.
std::int64_t by_subsets(const std::vector<std::int64_t>& lengths, const Places& places) {
  const auto rows = static_cast<std::int64_t>(lengths.size());
  const auto heaviest = [&](std::int64_t count) {
    std::int64_t most = 0;
    for (std::uint32_t subset = 0; subset < (1U << lengths.size()); ++subset) {
      std::int64_t size = 0, tokens = 0;
      for (std::size_t i = 0; i < lengths.size(); ++i) {
        if ((subset >> i & 1U) == 0) continue;
        ++size;
        tokens += lengths[i];
      }
      if (size == count) most = std::max(most, tokens);
    }
    return most;
  };
  std::int64_t most = 0;
  for (std::int64_t begin = places.first; begin < places.end; begin += places.rows) {
    std::vector<std::int64_t> of_epoch(static_cast<std::size_t>(places.end / rows + 1), 0);
    for (std::int64_t at = begin; at < std::min(places.end, begin + places.rows); ++at) {
      ++of_epoch[static_cast<std::size_t>(at / rows)];
    }
    std::int64_t tokens = 0;
    for (const std::int64_t count : of_epoch) tokens += heaviest(count);
    most = std::max(most, tokens);
  }
  return most;
}

TEST(Capacity, IsTheLongestMicrobatchThatThereCanBe) {
  const std::vector<std::int64_t> all = {7, 30, 2, 11, 4};
  for (std::size_t n = 1; n <= all.size(); ++n) {
    const std::vector<std::int64_t> lengths(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n));
    const ListedRows rows = rows_of(lengths);
    for (std::int64_t size = 1; size <= 12; ++size) {
      for (std::int64_t first = 0; first < size; ++first) {
        for (std::int64_t end = 0; end <= 30; ++end) {
          const Places places = {size, first, end};
          ASSERT_EQ(capacity_for(rows, places), by_subsets(lengths, places))
              << n << " rows, microbatches of " << size << " from " << first << " to " << end;
        }
      }
    }
  }
}

/// The bound holds for the sampler's own orders, and is met by some.
TEST(Capacity, HoldsForTheOrdersOfTheSampler) {
  const std::vector<std::int64_t> lengths = {30, 4, 5, 6, 7};
  const ListedRows rows = rows_of(lengths);
  for (std::int64_t size = 1; size <= 12; ++size) {
    const std::int64_t bound = capacity_for(rows, Places{size, 0, 60});
    std::int64_t longest = 0;
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
      const Sampler sampler(Key(seed).with("order"), rows.count(), size, Order::shuffled, 60);
      for (std::int64_t step = 0; step < sampler.steps(); ++step) {
        std::int64_t tokens = 0;
        for (const std::int64_t row : sampler.rows_of(step)) tokens += rows.tokens(row);
        longest = std::max(longest, tokens);
      }
    }
    EXPECT_EQ(longest, bound) << "microbatches of " << size;
  }
}

TEST(Capacity, InsideAnEpochEveryRowCountsOnce) {
  const ListedRows rows = rows_of({30, 4, 4, 4, 4, 4});
  EXPECT_EQ(capacity_for(rows, 2), 34);
  EXPECT_EQ(capacity_for(rows, Places{2, 0, 600}), 34);  // microbatches end where epochs do
  EXPECT_EQ(capacity_for(rows, Places{4, 0, 6}), 42);    // one epoch only
  EXPECT_EQ(capacity_for(rows, Places{4, 0, 12}), 68);
  EXPECT_EQ(capacity_for(rows, 9), 50);
}

/// Rows of these lengths as a data set of their own.
void write_lengths(const Path& folder, const std::vector<int>& lengths) {
  std::string text;
  for (const int length : lengths) {
    text += nlohmann::json({{"input_ids", std::vector<int>(static_cast<std::size_t>(length), 3)}}).dump() + "\n";
  }
  write_file(folder / "rows.jsonl", text);
}

class AcrossEpochs : public testing::TestWithParam<int> {
 protected:
  void run(const std::string& name, int batch, int epochs, int seed) {
    JobOptions o;
    o.accumulation = 1;
    o.batch = batch;
    o.epochs = epochs;
    o.more = {fmt::format("seed: {}", seed), "shuffle: true"};
    EXPECT_EQ(test::run_on_threads(GetParam(), folder_.path(), name, o), RunEnd::finished) << name;
    EXPECT_EQ(test::run_on_threads(GetParam(), folder_.path(), name, o), RunEnd::finished) << name << ", again";
    EXPECT_FALSE(read_metrics(folder_.path() / name / "trainer_log.jsonl").empty());
  }
  test::Folder folder_;
};

TEST_P(AcrossEpochs, MoreRowsAMicrobatchThanThereAre) {
  write_lengths(folder_.path(), {5, 6, 7, 8, 9, 10, 11, 12, 13, 14});
  run("more", 16, 2, 42);
}

TEST_P(AcrossEpochs, TheLongestRowTwiceInOne) {
  write_lengths(folder_.path(), {30, 4, 4, 4, 4});
  for (int seed = 1; seed <= 6; ++seed) run(fmt::format("seed-{}", seed), 4, 8, seed);
}

INSTANTIATE_TEST_SUITE_P(Ranks, AcrossEpochs, testing::Values(1, 2));

}  // namespace
}  // namespace hearth
