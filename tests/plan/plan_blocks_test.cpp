// What a plan knows of blocks that are cut: the parts are those of the whole, and what passes between them.
#include <gtest/gtest.h>

#include <algorithm>

#include "plan/plans.h"
#include "trainer/plan_blocks.h"

namespace hearth {
namespace {

std::int64_t held(const PlannedBlock& block) {
  std::int64_t elements = 0;
  for (const Parameter& parameter : block.parameters) elements += piece_dims(parameter).elements();
  return elements;
}

TEST(PlannedBlocks, PiecesMakeTheWholeAndKeyHeadsAreCopied) {
  const ModelConfig config = test::llama(64, 176, 2, 8, 2, 512);
  const test::PlannedOnMesh alone(config, {}, 64);
  const PlannedModel& one = alone.planned;
  for (const int t : {2, 4, 8}) {
    const test::PlannedOnMesh on(config, {.tensor = t}, 64);
    const PlannedModel& cut = on.planned;
    const std::int64_t norm = 64;
    const std::int64_t keys = 2 * 64 * 16;                         // key and value of 2 heads of 8, from 64
    const std::int64_t copies = std::max<std::int64_t>(1, t / 2);  // ranks that hold the same key head
    EXPECT_EQ(t * (held(cut.of(BlockKind::attention)) - norm),
              held(one.of(BlockKind::attention)) - norm + (copies - 1) * keys);
    EXPECT_EQ(t * (held(cut.of(BlockKind::mlp)) - norm), held(one.of(BlockKind::mlp)) - norm);
    EXPECT_EQ(t * held(cut.of(BlockKind::embedding)), held(one.of(BlockKind::embedding)));
    EXPECT_EQ(held(cut.of(BlockKind::final_norm)), norm);
  }
}

TEST(PlannedBlocks, HiddenWidthAndVocabularyArePadded) {
  const test::PlannedOnMesh on(test::llama(64, 175, 1, 8, 8, 509), {.tensor = 8}, 64);
  const PlannedModel& cut = on.planned;
  EXPECT_EQ(cut.hidden(), 22);
  EXPECT_EQ(cut.vocabulary(), 64);
  EXPECT_EQ(held(cut.of(BlockKind::mlp)), 64 + 3 * 64 * 22);
}

/// Per layer forward and backward: 4 gathers (5 with the normed rows made again for the backward of each half) and 4
/// reduce-scatters of 2 s b h (t - 1) / t bytes.
TEST(PlannedBlocks, TensorTrafficIsTheFormula) {
  for (const int t : {2, 4}) {
    const std::int64_t tokens = 512;
    const test::PlannedOnMesh on(test::llama(64, 176, 2, 8, 8, 512), {.tensor = t}, tokens);
    const PlannedModel& cut = on.planned;
    const auto one = static_cast<std::uint64_t>(2 * tokens * 64 * (t - 1) / t);
    std::uint64_t gathers = 0, gathered = 0, sums = 0, summed = 0;
    for (const BlockKind kind : {BlockKind::attention, BlockKind::mlp}) {
      for (const Traffic& traffic : {cut.of(kind).tensor_forward, cut.of(kind).tensor_backward}) {
        gathers += traffic.gather.calls;
        gathered += traffic.gather.bytes;
        sums += traffic.reduce_scatter.calls;
        summed += traffic.reduce_scatter.bytes;
      }
    }
    EXPECT_EQ(gathers, 6U);
    EXPECT_EQ(gathered, 6 * one);
    EXPECT_EQ(sums, 4U);
    EXPECT_EQ(summed, 4 * one);
  }
}

}  // namespace
}  // namespace hearth
