// What each ZeRO stage keeps and moves, in bytes.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "fake_training.h"
#include "parallel/global_norm.h"

namespace hearth {
namespace {

using test::FakeResult;
using test::FakeRun;
using test::flat_parameter;

constexpr int blocks = 6;
constexpr std::size_t block = 8192;  // elements, padding not needed on up to four ranks

FakeRun equal_blocks(int ranks, int stage, Dtype compute) {
  FakeRun run{.ranks = ranks, .stage = stage, .compute = compute, .steps = 3, .poison = Poison::no};
  for (int i = 0; i < blocks; ++i) {
    run.groups.push_back({{flat_parameter("block." + std::to_string(i), static_cast<std::int64_t>(block))}, 1});
  }
  return run;
}

/// The table of parallel/flat_layout.h for one accumulator, in numbers; the norm's chunk sums beside it.
std::size_t expected_peak(std::size_t n, int stage, Dtype compute) {
  const std::size_t model = blocks * block;
  const std::size_t c = size_of(compute);
  const std::size_t norm =
      8 * (model / norm_chunk / n) + 8 * (model / norm_chunk) + 2 * 64;  // sums by group; the result
  const std::size_t masters = compute == Dtype::f32 ? 0 : 4 * model;     // in f32 part of the weights
  switch (stage) {
    case 0:
      return norm + c * model + masters + 8 * model + 4 * model + (n == 1 ? 4 * block : 4 * model);
    case 1:
      return norm + c * model + masters / n + 8 * model / n + 4 * model / n + (n == 1 ? 4 * block : 4 * model);
    case 2:
      return norm + c * model + masters / n + 8 * model / n + 4 * model / n + 4 * block;
    default:
      const std::size_t weights = n == 1 && compute == Dtype::f32 ? 0 : 2 * c * block;
      return norm + 4 * model / n + weights + 8 * model / n + 4 * model / n + 4 * block;
  }
}

TEST(Residency, ThePeakOfEveryStageIsTheFormula) {
  for (const Dtype compute : {Dtype::f32, Dtype::bf16}) {
    for (const int ranks : {1, 2, 4}) {
      std::size_t last = 0;
      for (int stage = 0; stage <= 3; ++stage) {
        SCOPED_TRACE(fmt::format("{} ranks, stage {}, {}", ranks, stage, name_of(compute)));
        const FakeResult result = test::train(equal_blocks(ranks, stage, compute));
        for (const std::size_t peak : result.peaks) {
          EXPECT_EQ(peak, expected_peak(static_cast<std::size_t>(ranks), stage, compute));
        }
        if (stage > 0) {
          EXPECT_LE(result.peaks[0], last) << "a higher stage needs more memory";
        }
        last = result.peaks[0];
      }
    }
  }
}

TEST(Residency, TheFormulaIsWhatGroupsTake) {
  for (const int ranks : {1, 3}) {
    for (int stage = 0; stage <= 3; ++stage) {
      for (const int accumulators : {0, 1, 2}) {
        const std::vector<Parameter> parameters{flat_parameter("weight", 5000)};
        const FlatLayout layout(parameters, ranks, stage == 0 ? 1 : ranks);
        const Residency residency(layout, {static_cast<ZeroStage>(stage), Dtype::bf16, accumulators});
        const std::size_t whole = 5120 + (ranks == 3 ? 256 : 0);  // chunks of 256, the same number on every rank
        EXPECT_EQ(static_cast<std::size_t>(layout.padded()), whole);
        const std::size_t own = whole / static_cast<std::size_t>(ranks);
        const std::size_t held = stage == 0 ? whole : own;
        std::size_t expected = 0;
        if (accumulators == 0) {
          expected = stage == 3 ? 2 * own : 2 * whole;
        } else {
          const auto a = static_cast<std::size_t>(accumulators);
          expected = (stage == 3 ? 0 : 2 * whole) + 4 * held + 8 * held + 4 * (held + (a - 1) * own);
          if (ranks > 1 && stage < 2) expected += 4 * a * whole;
        }
        EXPECT_EQ(residency.resident, expected) << ranks << " ranks, stage " << stage << ", " << accumulators;
      }
    }
  }
}

struct Bytes {
  std::uint64_t gather = 0;
  std::uint64_t reduce_scatter = 0;
};

/// Of one rank in one step of four microbatches: every block is gathered for forward and backward but the last, which
/// stays; gradients go to their owners once a microbatch.
Bytes expected_traffic(std::uint64_t n, int stage, Dtype compute) {
  const std::uint64_t rounds = 4 / n;
  const std::uint64_t sent = (n - 1) * block / n;  // elements of one block that a rank sends
  const std::uint64_t c = size_of(compute);
  Bytes bytes;
  bytes.gather = (n - 1) * 8 * (blocks * block / norm_chunk / n);  // chunk sums
  bytes.reduce_scatter = rounds * blocks * sent * 4;
  if (stage == 0) bytes.gather += blocks * sent * 4;                // the summed gradient, for everybody
  if (stage == 1 || stage == 2) bytes.gather += blocks * sent * c;  // the updated weights
  if (stage == 3) bytes.gather += rounds * (2 * blocks - 1) * sent * c;
  return bytes;
}

TEST(Residency, TheTrafficOfEveryStageIsTheFormula) {
  for (const Dtype compute : {Dtype::f32, Dtype::bf16}) {
    for (const int ranks : {2, 4}) {
      for (int stage = 0; stage <= 3; ++stage) {
        SCOPED_TRACE(fmt::format("{} ranks, stage {}, {}", ranks, stage, name_of(compute)));
        FakeRun run = equal_blocks(ranks, stage, compute);
        const Traffic three = test::train(run).traffic;
        run.steps = 5;
        const Traffic five = test::train(run).traffic;
        const Bytes expected = expected_traffic(static_cast<std::uint64_t>(ranks), stage, compute);
        EXPECT_EQ(five.gather.bytes - three.gather.bytes, 2 * expected.gather);
        EXPECT_EQ(five.reduce_scatter.bytes - three.reduce_scatter.bytes, 2 * expected.reduce_scatter);
        EXPECT_EQ(five.sum.calls, 0U);
        EXPECT_EQ(five.exchange.calls, 0U);
      }
    }
  }
}

/// Four ranks in two shards of two that hold copies of each other.
TEST(Residency, TheTrafficOfShardsThatRepeatIsTheFormula) {
  constexpr std::uint64_t ranks = 4;
  constexpr std::uint64_t shard = 2;
  for (const Dtype compute : {Dtype::f32, Dtype::bf16}) {
    for (int stage = 1; stage <= 3; ++stage) {
      SCOPED_TRACE(fmt::format("stage {}, {}", stage, name_of(compute)));
      FakeRun run = equal_blocks(ranks, stage, compute);
      run.shard = shard;
      const Traffic three = test::train(run).traffic;
      run.steps = 4;
      const Traffic four = test::train(run).traffic;
      const std::uint64_t weights = size_of(compute) * block * (shard - 1) / shard;
      const std::uint64_t copies = 4 * block / ranks * (ranks / shard - 1);
      const std::uint64_t norm = (ranks - 1) * 8 * (blocks * block / norm_chunk / ranks);
      const std::uint64_t gathers = stage == 3 ? 2 * blocks - 1 : blocks;  // one microbatch a rank
      EXPECT_EQ(four.gather.bytes - three.gather.bytes, gathers * weights + blocks * copies + norm);
      EXPECT_EQ(four.gather.calls - three.gather.calls, gathers * (ranks / shard) + blocks + 1);
      EXPECT_EQ(four.reduce_scatter.bytes - three.reduce_scatter.bytes, blocks * 4 * block * (ranks - 1) / ranks);
    }
  }
}

TEST(Residency, TheFastOrderReducesOnceAStep) {
  for (const int ranks : {2, 4}) {
    for (const int shard : {0, 2}) {
      for (int stage = 0; stage <= 3; ++stage) {
        SCOPED_TRACE(fmt::format("{} ranks in shards of {}, stage {}", ranks, shard, stage));
        FakeRun run = equal_blocks(ranks, stage, Dtype::f32);
        run.microbatches = 4 * ranks;
        run.shard = shard;
        run.order = SumOrder::fast;
        run.steps = 1;
        const Traffic one = test::train(run).traffic;
        run.steps = 2;
        const Traffic two = test::train(run).traffic;
        const std::uint64_t rounds = stage < 2 ? 1 : 4;  // of four microbatches a rank
        EXPECT_EQ(two.reduce_scatter.calls - one.reduce_scatter.calls, rounds * blocks);
        const auto n = static_cast<std::uint64_t>(ranks);
        EXPECT_EQ(two.reduce_scatter.bytes - one.reduce_scatter.bytes, rounds * blocks * (n - 1) * block / n * 4);
      }
    }
  }
}

/// The fake gradients of a microbatch are added to what earlier ones left: the sum is another order of the same numbers.
TEST(Residency, TheFastOrderLosesNothing) {
  for (const int ranks : {1, 2, 4}) {
    for (int stage = 0; stage <= 3; ++stage) {
      FakeRun run{.groups = test::uneven_groups(), .ranks = ranks, .stage = stage, .steps = 3, .microbatches = 12};
      const FakeResult fixed = test::train_plainly(run);
      run.order = SumOrder::fast;
      const FakeResult fast = test::train(run);
      // Twelve addends: at most 11 roundings of either order, 2^-24 each of the sum of magnitudes; three steps.
      for (std::size_t i = 0; i < fixed.norms.size(); ++i) EXPECT_NEAR(fast.norms[i] / fixed.norms[i], 1, 1e-5);
      for (const auto& [name, values] : fixed.weights) {
        for (std::size_t k = 0; k < values.size(); ++k) {
          EXPECT_NEAR(fast.weights.at(name)[k], values[k], 1e-5 * (1 + std::abs(values[k]))) << name;
        }
      }
      if (stage >= 2 && ranks > 1) {
        EXPECT_EQ(fast.norms, fixed.norms) << "there is no room to wait: the fixed order";
      }
    }
  }
}

TEST(FlatLayout, IntervalsAreWholeChunksAndCoverEverything) {
  for (int ranks = 1; ranks <= 5; ++ranks) {
    for (const std::int64_t size : {0, 1, 255, 256, 257, 1024, 5003}) {
      const std::vector<Parameter> parameters{flat_parameter("a", size / 2), flat_parameter("b", size - size / 2)};
      const FlatLayout layout(parameters, ranks);
      EXPECT_EQ(layout.elements, size);
      EXPECT_EQ(layout.interval % norm_chunk, 0);
      EXPECT_GE(layout.padded(), size);
      EXPECT_LT(layout.padded() - size, norm_chunk * ranks);
      EXPECT_EQ(layout.places[1], (Interval{size / 2, size}));
      EXPECT_EQ(layout.of(ranks - 1).end, layout.padded());
    }
  }
}

}  // namespace
}  // namespace hearth
