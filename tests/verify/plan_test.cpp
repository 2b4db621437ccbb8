// What `verify` makes of a recipe: a small model that is cut as the real one is, and rows with everything that matters.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "model/head.h"
#include "verify/verify_run.h"

namespace hearth {
namespace {

using test::Wish;

TEST(Shrunk, IsCutAsTheRealModelIs) {
  for (const std::string& family : test::families()) {
    const ModelConfig real = test::real_config(family);
    for (const int tensor : {1, 2, 3, 4, 8, 16}) {
      for (const int pipe : {1, 2, 8}) {
        const ModelConfig small = shrunk(real, {.pipe = pipe, .tensor = tensor}, 2);
        EXPECT_EQ(small.hidden % tensor, real.hidden % tensor) << family << " " << tensor;
        EXPECT_EQ(small.vocabulary % tensor, real.vocabulary % tensor) << family << " " << tensor;
        EXPECT_LT(small.hidden, 200);
        EXPECT_EQ(small.layers, pipe == 8 ? 7 : 2);  // 16 chunks are shared out over 2 L + 3 blocks
        EXPECT_EQ(small.heads, real.heads);
        EXPECT_EQ(small.key_value_heads, real.key_value_heads);
        EXPECT_EQ(small.rope, real.rope);
        EXPECT_EQ(small.tied, real.tied);
        EXPECT_EQ(small.attention_bias, real.attention_bias);
        EXPECT_EQ(small.query_key_norm, real.query_key_norm);
        EXPECT_EQ(small.window > 0, real.window > 0);
        EXPECT_LT(small.parameters(), 200000);
      }
    }
  }
}

std::int64_t targets(const VerifyPlan& plan, const std::vector<std::int64_t>& rows, std::int64_t microbatch) {
  std::int64_t sum = 0;
  const std::int64_t size = plan.step.microbatch_rows;
  for (std::int64_t i = microbatch * size; i < (microbatch + 1) * size; ++i) {
    if (i < static_cast<std::int64_t>(rows.size())) sum += plan.rows.trained(rows[static_cast<std::size_t>(i)]);
  }
  return sum;
}

TEST(Rows, AreUnevenShortAndPartlyWithoutTargets) {
  const VerifyPlan plan =
      verify_plan(test::recipe_of({.mesh = {.data = 3, .context = 2}}), test::real_config("llama"), 6);
  ASSERT_EQ(plan.first_rows.size(), 12U);  // 3 ranks, 2 microbatches, 2 rows
  EXPECT_EQ(plan.second_rows.size(), 11U);
  EXPECT_EQ(targets(plan, plan.first_rows, 2), 0) << "a microbatch without a target";
  EXPECT_GT(targets(plan, plan.first_rows, 5), 0) << "of a rank that takes part all the same";
  EXPECT_EQ(targets(plan, plan.second_rows, 2) + targets(plan, plan.second_rows, 5), 0) << "a rank without a target";
  EXPECT_NE(targets(plan, plan.first_rows, 0), targets(plan, plan.first_rows, 1));
  EXPECT_GT(targets(plan, plan.second_rows, 4), 0);
  EXPECT_GT(plan.rows.tokens(0), 2 * Head::chunk) << "on each context rank more than a chunk of the head";
  std::set<std::int64_t> lengths;
  std::int64_t straddling = 0;
  for (const std::int64_t row : plan.first_rows) {
    lengths.insert(plan.rows.tokens(row));
    straddling += plan.rows.row(row).document_starts.size() > 2 ? 1 : 0;
  }
  EXPECT_GT(lengths.size(), 6U);
  EXPECT_GT(straddling, 5);
}

TEST(Rows, GiveEveryDataRankTargetsInTheFirstStep) {
  for (const int data : {1, 2, 3, 5}) {
    for (const std::int64_t accumulation : {1, 2, 3}) {
      for (const std::int64_t microbatch_rows : {1, 2}) {
        const Wish wish{.mesh = {.data = data}, .microbatch_rows = microbatch_rows, .accumulation = accumulation};
        const VerifyPlan plan = verify_plan(test::recipe_of(wish), test::real_config("llama"), data);
        std::vector<std::int64_t> of_rank(static_cast<std::size_t>(data));
        for (std::int64_t m = 0; m < data * accumulation; ++m) {
          of_rank[static_cast<std::size_t>(m % data)] += targets(plan, plan.first_rows, m);
        }
        for (const std::int64_t count : of_rank) EXPECT_GT(count, 0) << data << " " << accumulation;
        EXPECT_GT(targets(plan, plan.second_rows, 0), 0);
      }
    }
  }
}

TEST(Plan, IsTheRecipesWay) {
  Wish wish{.mesh = {.pipe = 2, .data = 2},
            .zero_stage = 2,
            .schedule = Recipe::PipelineSchedule::interleaved,
            .recompute = 2,
            .dtype = Dtype::bf16,
            .smoothing = 0.25,
            .order = Recipe::SumOrder::fast,
            .microbatch_rows = 64,
            .accumulation = 100};
  const VerifyPlan plan = verify_plan(test::recipe_of(wish), test::real_config("qwen2"), 4);
  EXPECT_EQ(plan.mesh, (MeshShape{.pipe = 2, .data = 2}));
  EXPECT_EQ(plan.placed.zero_stage, 2);
  EXPECT_EQ(plan.placed.schedule, PipelineSchedule::interleaved);
  EXPECT_EQ(plan.placed.chunks, 2);
  EXPECT_EQ(plan.placed.recompute, 2);
  EXPECT_EQ(plan.placed.order, SumOrder::fast);
  for (const auto& [wish_of, kind, chunks] :
       {std::tuple{Recipe::PipelineSchedule::zero_bubble, PipelineSchedule::zero_bubble, 1},
        std::tuple{Recipe::PipelineSchedule::interleaved, PipelineSchedule::interleaved, 2},
        std::tuple{Recipe::PipelineSchedule::one_forward_one_backward, PipelineSchedule::one_f_one_b, 1}}) {
    const VerifyPlan piped =
        verify_plan(test::recipe_of({.mesh = {.pipe = 2}, .schedule = wish_of}), test::real_config("llama"), 2);
    EXPECT_EQ(piped.placed.schedule, kind);
    EXPECT_EQ(piped.placed.chunks, chunks);
  }
  EXPECT_EQ(plan.dtype, Dtype::bf16);
  EXPECT_EQ(plan.label_smoothing, 0.25);
  EXPECT_EQ(plan.step.max_norm, 1.0);
  EXPECT_EQ(plan.step.adamw.decay, 0.1);
  EXPECT_EQ(plan.step.microbatch_rows, 2);
  EXPECT_EQ(plan.first_rows.size(), 16U);  // 4 rounds of 2 ranks and 2 rows
}

TEST(Plan, RefusesWhatTrainRefuses) {
  const auto kind = [](const Wish& wish, int ranks) {
    try {
      verify_plan(test::recipe_of(wish), test::real_config("llama"), ranks);
    } catch (const Error& error) {
      return error.kind();
    }
    return Kind::internal;
  };
  EXPECT_EQ(kind({.mesh = {.tensor = 2}}, 3), Kind::usage);
  EXPECT_EQ(kind({.mesh = {.tensor = 3}}, 3), Kind::usage);  // heads
  EXPECT_EQ(kind({.mesh = {.pipe = 60}}, 60), Kind::usage);  // blocks
  EXPECT_EQ(kind({.mesh = {.data = 4, .shard = 3}}, 4), Kind::usage);
  EXPECT_EQ(kind({.mesh = {.pipe = 2}, .schedule = Recipe::PipelineSchedule::interleaved, .accumulation = 3}, 2),
            Kind::usage);
}

TEST(Plan, AxesAloneKeepTheRowsAndTheWay) {
  const Wish wish{.mesh = {.pipe = 2, .data = 4, .context = 2, .shard = 4}, .zero_stage = 3};
  const VerifyPlan plan = verify_plan(test::recipe_of(wish), test::real_config("llama"), 16);
  EXPECT_EQ(on_axes(plan, {Axis::data}).mesh, (MeshShape{.data = 4, .shard = 4}));
  EXPECT_EQ(on_axes(plan, {Axis::context}).mesh, (MeshShape{.context = 2, .shard = 2}));
  EXPECT_EQ(on_axes(plan, {Axis::pipe, Axis::data}).mesh, (MeshShape{.pipe = 2, .data = 4, .shard = 4}));
  EXPECT_EQ(on_axes(plan, {Axis::data}).first_rows, plan.first_rows);
  EXPECT_EQ(on_axes(plan, {Axis::data}).placed.zero_stage, 3);
  EXPECT_EQ(on_axes(plan, {}).mesh.ranks(), 1);
}

TEST(Bounds, AreZeroWhereBitsArePromised) {
  const auto bounds = [](const Wish& wish, Dtype dtype) {
    return verify_bounds(verify_plan(test::recipe_of(wish), test::real_config("llama"), wish.mesh.ranks()), dtype);
  };
  EXPECT_EQ(bounds({.mesh = {.pipe = 2, .data = 2}}, Dtype::bf16).gradient, 0);
  EXPECT_GT(bounds({.mesh = {.pipe = 2, .data = 2}, .order = Recipe::SumOrder::fast}, Dtype::f32).gradient, 0);
  for (const Wish& wish : {Wish{.mesh = {.tensor = 2}}, Wish{.mesh = {.context = 2}}}) {
    EXPECT_GT(bounds(wish, Dtype::f32).gradient, 1e-6);
    EXPECT_LT(bounds(wish, Dtype::f32).gradient, 2e-4);
    EXPECT_DOUBLE_EQ(bounds(wish, Dtype::bf16).gradient, 8 * std::exp2(-9) * std::sqrt(3 * 28.0));
  }
}

}  // namespace
}  // namespace hearth
