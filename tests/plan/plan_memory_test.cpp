// Memory on meshes: what must hold of it by the formulas of the field.
#include <gtest/gtest.h>

#include "plan/plans.h"
#include "trainer/memory_parts.h"

namespace hearth {
namespace {

using Schedule = PipelineSchedule;
using test::PlannedOnMesh;

constexpr std::int64_t tokens = 512;

ModelConfig deep() {
  return test::llama(256, 704, 32, 8, 8, 512);  // layers outweigh the ends
}

/// Bytes of state of all ranks of a mesh together: weights, masters, moments, running gradients without what is lent.
TEST(MeshMemory, StateOfAllRanksIsSixteenBytesAParameter) {
  const auto parameters = static_cast<double>(deep().parameters());
  for (const MeshShape& mesh : std::vector<MeshShape>{{.data = 8},
                                                      {.tensor = 8},
                                                      {.pipe = 4, .data = 2},
                                                      {.pipe = 2, .data = 2, .tensor = 2},
                                                      {.data = 2, .context = 4}}) {
    const PlannedOnMesh on(deep(), mesh, tokens);
    PlannedLayout layout = on.layout(Schedule::one_f_one_b, 1, 8);
    layout.zero_stage = 3;
    double bytes = 0;
    for (int stage = 0; stage < mesh.pipe; ++stage) {
      for (const PlannedGroup& group : groups_of(on.planned, layout, stage)) {
        bytes +=
            16.0 * static_cast<double>(group.layout.kept()) * mesh.ranks() / mesh.pipe;  // master, moments, gradient
      }
    }
    EXPECT_NEAR(bytes / parameters, 16, 16 * 0.01) << mesh.ranks();  // norms are copied and chunks padded: below 1 %
  }
}

TEST(MeshMemory, EveryAxisLightensARank) {
  const auto total = [&](const MeshShape& mesh, int zero_stage) {
    const PlannedOnMesh on(deep(), mesh, tokens);
    PlannedLayout layout = on.layout(Schedule::one_f_one_b, 1, 8);
    layout.zero_stage = zero_stage;
    std::size_t most = 0;
    for (int stage = 0; stage < mesh.pipe; ++stage)
      most = std::max(most, stage_memory(on.planned, layout, stage).total());
    return most;
  };
  const std::size_t one = total({}, 0);
  EXPECT_LT(total({.tensor = 2}, 0), one * 6 / 10);
  EXPECT_LT(total({.context = 2}, 3), one);
  EXPECT_LT(total({.pipe = 2}, 0), one);
  EXPECT_LT(total({.data = 2}, 3), total({.data = 2}, 2));
  EXPECT_LT(total({.data = 2}, 2), total({.data = 2}, 1));
  EXPECT_LT(total({.data = 2}, 1), total({.data = 2}, 0));
}

TEST(MeshMemory, ShardsThatRepeatHoldMore) {
  const PlannedOnMesh on(deep(), {.data = 8}, tokens);
  PlannedLayout layout = on.layout(Schedule::one_f_one_b, 1, 1);
  layout.zero_stage = 3;
  const MemoryPlan eighths = stage_memory(on.planned, layout, 0);
  layout.mesh.shard = 2;
  const MemoryPlan halves = stage_memory(on.planned, layout, 0);
  EXPECT_EQ(halves.master, 4 * eighths.master);
  EXPECT_EQ(halves.moments, 4 * eighths.moments);
  EXPECT_EQ(halves.gathered, eighths.gathered);
  layout.mesh.shard = 8;
  EXPECT_EQ(stage_memory(on.planned, layout, 0).total(), eighths.total());
}

/// Kept bytes of stage `stage` when every stage has as many layers.
std::size_t kept(Schedule schedule, int stages, int chunks, int stage, int microbatches) {
  const PlannedOnMesh on(deep(), {.pipe = stages}, tokens);
  PlannedLayout layout = on.layout(schedule, chunks, microbatches);
  layout.virtual_stages.clear();
  // Embedding with the first, norm and head with the last: they keep next to nothing.
  const int layers = static_cast<int>(on.model.config().layers) / (stages * chunks);
  for (int i = 0; i < stages * chunks; ++i) {
    layout.virtual_stages.push_back(
        {i == 0 ? 0 : 1 + 2 * layers * i, i + 1 == stages * chunks ? on.model.blocks() : 1 + 2 * layers * (i + 1)});
  }
  return stage_memory(on.planned, layout, stage).kept;
}

TEST(MeshMemory, InFlightMicrobatchesAreThoseOfTheSchedule) {
  for (const int p : {2, 4, 8}) {
    const auto one = static_cast<double>(kept(Schedule::one_f_one_b, p, 1, p - 1, 4 * p));  // of one microbatch
    for (int stage = 0; stage < p; ++stage) {
      EXPECT_NEAR(static_cast<double>(kept(Schedule::one_f_one_b, p, 1, stage, 4 * p)) / one, p - stage, 0.01);
    }
    // The first stage of v chunks holds 1 + (p - 1) / (p v) times as much as p microbatches (Korthikanti et al. 2022).
    for (const int v : {2, 4}) {
      if (32 % (p * v) != 0) continue;
      const auto first = static_cast<double>(kept(Schedule::interleaved, p, v, 0, 4 * p));
      EXPECT_NEAR(first / (p * one), 1 + (p - 1.0) / (p * v), 0.02) << p << " stages, " << v << " chunks";
    }
  }
}

/// Rows of the residual stream, two stages of nb blocks, by hand. The first: two microbatches of nb rows (the inputs of
/// all blocks but the first, and what they give); the first one's last row is still on its way out, and there is memory
/// for its gradient already, when the second one's is made. The last: one, its input among them, the input of the next
/// one on its way in, and the gradients of the one before and of its own on their way out.
TEST(MeshMemory, RowsOnTheirWayAreCounted) {
  const PlannedOnMesh on(deep(), {.pipe = 2}, tokens);
  const PlannedLayout layout = on.layout(Schedule::one_f_one_b, 1, 8);
  const auto rows = [&](int stage) {
    return static_cast<double>(stage_memory(on.planned, layout, stage).inputs) /
           static_cast<double>(on.planned.row_bytes());
  };
  const auto blocks = [&](std::size_t stage) { return static_cast<double>(layout.virtual_stages[stage].count()); };
  EXPECT_EQ(rows(0), 2 * blocks(0) + 1);
  EXPECT_EQ(rows(1), blocks(1) - 1 + 3) << "the head gives no row";
}

TEST(MeshMemory, AFewMicrobatchesShowWhatManyHold) {
  for (const Schedule schedule : {Schedule::one_f_one_b, Schedule::interleaved, Schedule::zero_bubble}) {
    const int chunks = schedule == Schedule::interleaved ? 2 : 1;
    for (const int p : {2, 4}) {
      const PlannedOnMesh on(deep(), {.pipe = p}, tokens);
      for (int stage = 0; stage < p; ++stage) {
        PlannedLayout layout = on.layout(schedule, chunks, 6 * p);
        const std::size_t some = stage_memory(on.planned, layout, stage).total();
        layout.rounds = 400 * p;
        EXPECT_EQ(stage_memory(on.planned, layout, stage).total(), some) << name_of(schedule) << " stage " << stage;
        layout.rounds = 1 * (schedule == Schedule::interleaved ? p : 1);
        EXPECT_LE(stage_memory(on.planned, layout, stage).total(), some);
      }
    }
  }
}

/// Contractions that are put off keep their factors: at most p microbatches between forward and contraction.
TEST(MeshMemory, ZeroBubblesCostWhatTheyPutOff) {
  for (const int p : {2, 4}) {
    for (int stage = 0; stage < p; ++stage) {
      const auto plain = kept(Schedule::one_f_one_b, p, 1, stage, 4 * p);
      const auto split = kept(Schedule::zero_bubble, p, 1, stage, 4 * p);
      EXPECT_GT(split, plain) << stage;
      EXPECT_LT(split, 3 * kept(Schedule::one_f_one_b, p, 1, 0, 4 * p)) << stage;
    }
  }
}

TEST(MeshMemory, RecomputationLeavesInputs) {
  const PlannedOnMesh on(deep(), {.pipe = 4}, tokens);
  PlannedLayout layout = on.layout(Schedule::one_f_one_b, 1, 16);
  const MemoryPlan all = stage_memory(on.planned, layout, 0);
  layout.recompute = 1;
  const MemoryPlan none = stage_memory(on.planned, layout, 0);
  layout.recompute = 2;
  const MemoryPlan half = stage_memory(on.planned, layout, 0);
  EXPECT_LT(none.kept, all.kept / 100);
  EXPECT_GT(none.recomputed, 0U);
  EXPECT_EQ(all.recomputed, 0U);
  EXPECT_NEAR(static_cast<double>(half.kept) / static_cast<double>(all.kept), 0.5, 0.1);
  EXPECT_NEAR(static_cast<double>(none.inputs), static_cast<double>(all.inputs),
              0.05 * static_cast<double>(all.inputs));
}

/// The fast order holds no more than the fixed one, and one rank needs no second gradient.
TEST(MeshMemory, TheFastOrderOfSums) {
  const PlannedOnMesh on(deep(), {}, tokens);
  PlannedLayout layout = on.layout(Schedule::one_f_one_b, 1, 4);
  const MemoryPlan fixed = stage_memory(on.planned, layout, 0);
  layout.order = SumOrder::fast;
  EXPECT_TRUE(layout.sums_once());
  EXPECT_LT(stage_memory(on.planned, layout, 0).gradients, fixed.gradients);
  layout.mesh.data = 4;
  layout.zero_stage = 2;
  EXPECT_FALSE(layout.sums_once());
}

}  // namespace
}  // namespace hearth
