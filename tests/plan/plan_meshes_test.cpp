// The choice of meshes: what does comes first and fits, what does not is told why, and times make sense.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "plan/plans.h"
#include "trainer/plan_report.h"

namespace hearth {
namespace {

using testing::HasSubstr;

constexpr double gibi = 1073741824.0;

PlanRequest request(std::int64_t row_tokens, std::int64_t rows) {
  PlanRequest request;
  request.row_tokens = row_tokens;
  request.rows = rows;
  return request;
}

/// About 8 billion parameters.
ModelConfig eight_billion() {
  ModelConfig config = test::llama(4096, 14336, 32, 32, 8, 128256);
  return config;
}

TEST(Planner, EveryMeshOnceTheFastestThatFitsFirst) {
  const Machine machine = test::shipped("h100");
  Planner planner(eight_billion(), request(4096, 256), machine, 80 * gibi);
  const auto plans = planner.all(16);
  EXPECT_EQ(plans.size(), 35U);  // 16 = p d c t in as many ways
  std::set<std::array<int, 4>> seen;
  bool before = true;
  double last = 0;
  for (const MeshPlan& plan : plans) {
    const MeshShape& mesh = plan.layout.mesh;
    EXPECT_EQ(mesh.ranks(), 16);
    EXPECT_TRUE(seen.insert({mesh.pipe, mesh.data, mesh.context, mesh.tensor}).second);
    const bool does = plan.refusal.empty();
    EXPECT_TRUE(before || !does) << "what does not do comes last";
    before = does;
    if (!does) continue;
    EXPECT_LE(plan.bytes, 80 * gibi);
    EXPECT_GE(plan.time.seconds, last);
    last = plan.time.seconds;
    ASSERT_EQ(plan.memory.size(), static_cast<std::size_t>(mesh.pipe));
    double fullest = 0;
    for (const MemoryPlan& stage : plan.memory) fullest = std::max(fullest, static_cast<double>(stage.total()));
    EXPECT_EQ(plan.bytes, fullest + machine.runtime);
    EXPECT_NEAR(plan.time.shares.sum(), plan.time.seconds, 1e-9 * plan.time.seconds);
    EXPECT_LT(plan.time.mfu_causal, 0.75) << "nothing is faster than its products";
    EXPECT_GT(plan.time.mfu_causal, 0.02);
    EXPECT_GT(plan.time.mfu_full, plan.time.mfu_causal);
  }
}

TEST(Planner, ReasonsNameKeysAndSizes) {
  const Machine machine = test::shipped("h100");
  Planner planner(eight_billion(), request(4096, 32), machine, 80 * gibi);
  const auto refusal = [&](const MeshShape& mesh) { return planner.plan(mesh).refusal; };
  EXPECT_THAT(refusal({.tensor = 3}),
              HasSubstr("tensor_parallel_size: 3: this model has 32 heads and 8 key-value heads"));
  EXPECT_THAT(refusal({.tensor = 3}), HasSubstr("use 2 or 4"));
  EXPECT_THAT(refusal({.pipe = 68}), HasSubstr("pipeline_parallel_size: 68: this model has 67 blocks"));
  EXPECT_EQ(refusal({.data = 64}), "") << "32 microbatches: half of the ranks have none, as in training";
  EXPECT_EQ(refusal({.data = 8}), "");
  const std::string alone = refusal({});
  EXPECT_THAT(alone, HasSubstr("needs "));
  EXPECT_THAT(alone, HasSubstr("of 80 GiB even with gradient_checkpointing, most of it moments"));
}

TEST(Planner, WhatIsNeededAndThereAreToldApart) {
  const Machine machine = test::shipped("h100");
  const MeshPlan plan = Planner(eight_billion(), request(4096, 32), machine, 1e15).plan({.data = 8});
  PlanRequest asked = request(4096, 32);
  asked.zero_stage = plan.layout.zero_stage;
  asked.recompute = plan.layout.recompute;
  for (const double less : {1.0, 1e6, 1e8}) {
    const std::string text = Planner(eight_billion(), asked, machine, plan.bytes - less).plan({.data = 8}).refusal;
    const std::size_t of = text.find(" of ");
    ASSERT_NE(of, std::string::npos) << text;
    const std::string needed = text.substr(6, of - 6);
    EXPECT_EQ(text.find(needed, of), std::string::npos) << text;
  }
}

TEST(Planner, AxesThatAreStatedAreKept) {
  const Machine machine = test::shipped("h100");
  PlanRequest asked = request(4096, 32);
  asked.tensor = 2;
  asked.pipe = 1;
  const auto plans = Planner(eight_billion(), asked, machine, 80 * gibi).all(16);
  EXPECT_EQ(plans.size(), 4U);  // data x context is 8
  for (const MeshPlan& plan : plans) EXPECT_EQ(plan.layout.mesh.tensor * 10 + plan.layout.mesh.pipe, 21);
}

/// One stage has nothing to schedule: whatever is asked for, it is planned as one stage.
TEST(Planner, AScheduleOfOneStageMeansNothing) {
  const Machine machine = test::shipped("h100");
  PlanRequest asked = request(4096, 32);
  const MeshPlan plain = Planner(eight_billion(), asked, machine, 80 * gibi).plan({.data = 8});
  asked.schedule = PipelineSchedule::interleaved;
  asked.chunks = 100;
  const MeshPlan plan = Planner(eight_billion(), asked, machine, 80 * gibi).plan({.data = 8});
  EXPECT_EQ(plan.refusal, "");
  EXPECT_EQ(plan.layout.schedule, PipelineSchedule::one_f_one_b);
  EXPECT_EQ(plan.layout.chunks, 1);
  EXPECT_EQ(plan.bytes, plain.bytes);
}

TEST(Planner, WhatIsStatedIsKept) {
  const Machine machine = test::shipped("h200");
  PlanRequest asked = request(2048, 64);
  asked.zero_stage = 1;
  asked.shard = 4;
  asked.recompute = 2;
  asked.schedule = PipelineSchedule::zero_bubble;
  Planner planner(eight_billion(), asked, machine, 141 * gibi);
  const MeshPlan plan = planner.plan({.pipe = 2, .data = 8});
  EXPECT_EQ(plan.layout.zero_stage, 1);
  EXPECT_EQ(plan.layout.mesh.shard, 4);
  EXPECT_EQ(plan.layout.recompute, 2);
  EXPECT_EQ(plan.layout.schedule, PipelineSchedule::zero_bubble);
  EXPECT_THAT(layout_text(plan.layout), HasSubstr("ZeRO 1, zero_bubble, recomputing one layer in 2"));
  EXPECT_THAT(plan.layout.mesh.text(), HasSubstr("shards of 4"));
}

/// The head of a large vocabulary makes the last stage the fullest when nothing is kept.
TEST(Planner, TheFullestStageDecides) {
  const Machine machine = test::shipped("h200");
  PlanRequest asked = request(2048, 64);
  asked.recompute = 1;
  asked.schedule = PipelineSchedule::one_f_one_b;
  ModelConfig config = test::llama(1024, 2816, 8, 8, 8, 400000);
  Planner planner(config, asked, machine, 141 * gibi);
  const MeshPlan plan = planner.plan({.pipe = 4});
  EXPECT_EQ(plan.fullest, 3);
  EXPECT_EQ(plan.bytes, static_cast<double>(plan.memory[3].total()) + machine.runtime);
}

/// Of what was not stated, nothing that could have been stated is faster.
TEST(Planner, WhatIsChosenIsTheFastestThatFits) {
  const Machine machine = test::shipped("h100");
  for (const MeshShape& mesh : std::vector<MeshShape>{{.data = 16}, {.pipe = 2, .data = 8}, {.data = 4, .tensor = 4}}) {
    const MeshPlan chosen = Planner(eight_billion(), request(4096, 256), machine, 80 * gibi).plan(mesh);
    ASSERT_EQ(chosen.refusal, "");
    int others = 0;
    for (const int zero_stage : {2, 3}) {
      for (const std::int64_t recompute : {0, 1}) {
        for (const auto kind : {PipelineSchedule::one_f_one_b, PipelineSchedule::zero_bubble}) {
          PlanRequest asked = request(4096, 256);
          asked.zero_stage = zero_stage;
          asked.recompute = recompute;
          asked.schedule = kind;
          const MeshPlan stated = Planner(eight_billion(), asked, machine, 80 * gibi).plan(mesh);
          if (!stated.refusal.empty()) continue;
          EXPECT_LE(chosen.time.seconds, stated.time.seconds) << mesh.text() << ": " << layout_text(stated.layout);
          if (chosen.time.seconds < stated.time.seconds) ++others;
        }
      }
    }
    EXPECT_GT(others, 0) << "there was nothing to choose from";
  }
}

TEST(Planner, SchedulesThatCannotBeAreLeftOutOrRefused) {
  const Machine machine = test::shipped("h100");
  PlanRequest asked = request(2048, 6);
  const MeshPlan odd = Planner(eight_billion(), asked, machine, 80 * gibi).plan({.pipe = 4, .tensor = 2});
  EXPECT_EQ(odd.refusal, "");
  EXPECT_NE(odd.layout.schedule, PipelineSchedule::interleaved) << "6 microbatches do not divide by 4 stages";
  asked.schedule = PipelineSchedule::interleaved;
  const MeshPlan stated = Planner(eight_billion(), asked, machine, 80 * gibi).plan({.pipe = 4, .tensor = 2});
  EXPECT_THAT(stated.refusal, HasSubstr("interleaved with 6 microbatches on 4 stages"));
}

/// What was found on one mesh is used on the others.
TEST(Planner, AllTogetherSayWhatEachSaysAlone) {
  const Machine machine = test::shipped("h100");
  for (const std::int64_t rows : {48, 4}) {
    const PlanRequest asked = request(2048, rows);
    Planner planner(eight_billion(), asked, machine, 80 * gibi);
    int compared = 0;
    for (const MeshPlan& plan : planner.all(48)) {
      if (plan.memory.empty()) continue;
      const MeshPlan alone = Planner(eight_billion(), asked, machine, 80 * gibi).plan(plan.layout.mesh);
      ASSERT_EQ(plan.memory.size(), alone.memory.size());
      for (std::size_t stage = 0; stage < plan.memory.size(); ++stage) {
        for (std::size_t row = 0; row < plan.memory[stage].rows().size(); ++row) {
          EXPECT_EQ(plan.memory[stage].rows()[row].bytes, alone.memory[stage].rows()[row].bytes)
              << plan.layout.mesh.text() << ", stage " << stage << ": " << plan.memory[stage].rows()[row].name;
        }
      }
      EXPECT_EQ(plan.time.seconds, alone.time.seconds) << plan.layout.mesh.text();
      EXPECT_EQ(layout_text(plan.layout), layout_text(alone.layout)) << plan.layout.mesh.text();
      ++compared;
    }
    EXPECT_GT(compared, 30);
  }
}

PlanRequest settled(std::int64_t row_tokens, std::int64_t rows, int zero_stage) {
  PlanRequest asked = request(row_tokens, rows);
  asked.zero_stage = zero_stage;
  asked.shard = 0;
  asked.recompute = 0;
  asked.schedule = PipelineSchedule::one_f_one_b;
  return asked;
}

/// Effects that everybody knows.
TEST(StepTime, MakesSense) {
  const Machine machine = test::shipped("h100");
  const double memory = 1e15;
  const auto time = [&](const MeshShape& mesh, std::int64_t rows, int zero_stage, std::int64_t recompute,
                        SumOrder order = SumOrder::fixed) {
    PlanRequest asked = settled(4096, rows, zero_stage);
    asked.recompute = recompute;
    asked.order = order;
    return Planner(eight_billion(), asked, machine, memory).plan(mesh).time;
  };
  const StepTime base = time({.data = 8}, 64, 2, 0);
  // One forward in three is run again: a third more, less what is no product.
  const double again = time({.data = 8}, 64, 2, 1).seconds / base.seconds;
  EXPECT_GT(again, 1.22);
  EXPECT_LT(again, 1.36);
  // Twice the ranks for twice the rows take no longer, but for links.
  EXPECT_LT(time({.data = 64}, 512, 2, 0).seconds, 1.1 * base.seconds);
  // Tensor ranks wait for each other, across nodes far longer.
  const double inside = time({.tensor = 8}, 64, 0, 0).seconds;
  EXPECT_GT(inside, base.seconds);
  EXPECT_GT(time({.tensor = 16}, 128, 0, 0).shares.tensor, 1.5 * time({.tensor = 8}, 64, 0, 0).shares.tensor);
  // More microbatches, smaller bubble.
  EXPECT_LT(time({.pipe = 8}, 64, 0, 0).bubble, time({.pipe = 8}, 16, 0, 0).bubble);
  EXPECT_NEAR(time({.pipe = 4}, 64, 0, 0).bubble, 3.0 / 67, 0.03);
  // Gradients of tensor ranks go over one link each: once a step is quicker than once a microbatch.
  EXPECT_LT(time({.data = 8, .tensor = 8}, 512, 1, 0, SumOrder::fast).seconds,
            time({.data = 8, .tensor = 8}, 512, 1, 0, SumOrder::fixed).seconds);
}

/// Where nothing is hidden, every pass of keys and values round the ring is waited for, and its latency is the link's.
TEST(StepTime, KeysAndValuesGoRoundTheRing) {
  Machine machine = test::shipped("h100");
  machine.hides_gathers = false;
  const PlanRequest asked = settled(4096, 3, 0);
  for (const int ring : {2, 4}) {
    const StepTime time = Planner(eight_billion(), asked, machine, 1e15).plan({.context = ring}).time;
    const double keys = 2.0 * 4096 / ring * 8 * 128;  // elements of a rank
    const auto pass = [&](double bytes) { return machine.inside.latency + bytes / machine.inside.gather; };
    const double layer = (ring - 1) * (pass(2 * keys) + pass(6 * keys)) + pass(4 * keys);  // sums in f32 come home
    EXPECT_NEAR(time.shares.context, 3 * 32 * layer, 1e-6 * 3 * 32 * layer) << ring;
  }
  machine.hides_gathers = true;
  const StepTime hidden = Planner(eight_billion(), asked, machine, 1e15).plan({.context = 2}).time;
  const double home = machine.inside.latency + 4 * 2.0 * 4096 / 2 * 8 * 128 / machine.inside.gather;
  EXPECT_NEAR(hidden.shares.context, 3 * 32 * home, 1e-6) << "all but the last pass lies behind attention";
}

/// Shares of the ring are added up in f32 and rounded, which a rank that sees its whole row need not do.
TEST(StepTime, ARingPassesMoreMemory) {
  const Machine machine = test::shipped("h100");
  const auto memory = [&](const MeshShape& mesh, std::int64_t row_tokens, std::int64_t rows) {
    return Planner(eight_billion(), settled(row_tokens, rows, 2), machine, 1e15).plan(mesh).time.shares.memory;
  };
  const double more = memory({.context = 2}, 8192, 3) - memory({.data = 2}, 4096, 6);
  const double queries = 4096.0 * 4096, keys = 2.0 * 4096 * 1024;
  // A share written, read and added to the sum, once round; the sum rounded to bf16. Keys: four passes a turn, and so on.
  const double bytes = (12 + 4 + 2) * queries + (2 * 16 + 4 + 2) * keys;
  EXPECT_NEAR(more, 3 * 32 * (2 * machine.op + bytes / machine.bandwidth), 1e-6);
}

/// What is not hidden takes what the links say of the bytes that are sent.
TEST(StepTime, TrafficTakesItsTime) {
  Machine machine = test::shipped("h100");
  machine.hides_gathers = machine.hides_reduces = false;
  Planner planner(eight_billion(), settled(2048, 6, 3), machine, 1e15);
  const MeshPlan plan = planner.plan({.data = 2});
  const StepTraffic traffic = planner.traffic(plan, 0);
  const auto seconds = [&](const Traffic::Count& of, double rate) {
    return static_cast<double>(of.bytes) / rate + static_cast<double>(of.calls) * machine.inside.latency;
  };
  const double weights = seconds(traffic.shard.gather, machine.inside.gather);
  EXPECT_NEAR(plan.time.shares.weights, weights, 1e-9 * weights);
  const double gradients = seconds(traffic.sums.reduce_scatter, machine.inside.reduce);
  EXPECT_NEAR(plan.time.shares.gradients, gradients, 1e-9 * gradients);
}

/// In the fixed order a gradient begins as zeros, and is read and added to the running sum: four passes in f32.
TEST(StepTime, TheFixedOrderPassesGradients) {
  const Machine machine = test::shipped("h100");
  PlanRequest asked = settled(2048, 5, 0);
  const double fixed = Planner(eight_billion(), asked, machine, 1e15).plan({}).time.shares.memory;
  asked.order = SumOrder::fast;
  const double fast = Planner(eight_billion(), asked, machine, 1e15).plan({}).time.shares.memory;
  const double passed = 16.0 * static_cast<double>(eight_billion().parameters()) / machine.bandwidth;
  EXPECT_NEAR(fixed - fast, 5 * (passed + 67 * 2 * machine.op), 5 * 0.001 * passed);
}

TEST(StepTime, MessagesBetweenStagesCount) {
  Machine machine = test::shipped("h100");
  const auto pipe = [&](double latency) {
    machine.inside.latency = latency;
    return Planner(eight_billion(), settled(2048, 1, 0), machine, 1e15).plan({.pipe = 2}).time.shares.pipe;
  };
  EXPECT_NEAR(pipe(1) - pipe(0), 2, 1e-6) << "one microbatch goes there and comes back";
}

TEST(StepTime, WhatIsCertainIsNoMoreThanWhatItTakes) {
  Machine machine = test::shipped("h100");
  for (const double latency : {0.0, 0.01}) {
    machine.inside.latency = machine.across.latency = latency;
    for (const auto kind :
         {PipelineSchedule::one_f_one_b, PipelineSchedule::interleaved, PipelineSchedule::zero_bubble}) {
      for (const int pipe : {2, 4, 8, 16}) {
        for (const std::int64_t rows : {16, 64}) {
          PlanRequest asked = settled(2048, rows, 0);
          asked.schedule = kind;
          asked.chunks = kind == PipelineSchedule::interleaved ? 2 : 1;
          Planner planner(eight_billion(), asked, machine, 1e15);
          const MeshPlan plan = planner.plan({.pipe = pipe});
          ASSERT_EQ(plan.refusal, "");
          const StepTime least =
              step_time(planner.model({.pipe = pipe}), plan.layout, {2048, rows, rows}, machine, 1e-9);
          EXPECT_LE(least.seconds, plan.time.seconds * (1 + 1e-12)) << layout_text(plan.layout) << ", " << pipe;
          EXPECT_GE(least.shares.pipe, 0);
        }
      }
    }
  }
}

TEST(StepTime, FlopsOfATokenAreTheFormula) {
  // Llama-3-8B: 45.8 GFLOP at 1024 tokens, 51.5 causal and 57.9 full at 8192.
  const ModelConfig config = eight_billion();
  EXPECT_NEAR(flops_per_token(config, 1024, true) / 1e9, 45.8, 0.1);
  EXPECT_NEAR(flops_per_token(config, 8192, true) / 1e9, 51.5, 0.1);
  EXPECT_NEAR(flops_per_token(config, 8192, false) / 1e9, 57.9, 0.1);
}

TEST(Reports, ShowAllOfAPlanOnAScreen) {
  const Machine machine = test::shipped("h100");
  Planner planner(eight_billion(), request(4096, 64), machine, 80 * gibi);
  const MeshPlan plan = planner.plan({.pipe = 2, .data = 2, .tensor = 2});
  const std::string text = mesh_report(planner, plan, machine, 80 * gibi);
  for (const char* part : {"pipe 2 x data 2 x tensor 2", "moments", "runtime", "together", "tensor: rows", "pipe: rows",
                           "tokens/s a device", "bubble of", "utilisation"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 40);
  const MeshPlan four = planner.plan({.pipe = 4});
  EXPECT_THAT(mesh_report(planner, four, machine, 80 * gibi), HasSubstr("a rank of stage 1 sends"))
      << "rows to both sides";
  const auto all = planner.all(8);
  const std::string list = mesh_list(all, 3);
  EXPECT_THAT(list, HasSubstr("20 meshes do"));
  EXPECT_THAT(list, HasSubstr("that take longer (--all shows them)"));
  EXPECT_EQ(mesh_list(all, 0).find("--all"), std::string::npos);
  EXPECT_THAT(mesh_list(planner.all(96), 40),
              testing::ContainsRegex("tensor 3 and [0-9]+ more: tensor_parallel_size: 3"));
  const MeshPlan none = planner.plan({.tensor = 3});
  EXPECT_THAT(mesh_report(planner, none, machine, 80 * gibi), HasSubstr("this does not do: tensor_parallel_size: 3"));
}

}  // namespace
}  // namespace hearth
