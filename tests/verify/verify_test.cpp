// A sound mesh is good; each fault is caught and named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "verify/verify_run.h"

namespace hearth {
namespace {

using test::Fault;
using test::Wish;
using testing::ElementsAre;
using testing::HasSubstr;
using Schedule = Recipe::PipelineSchedule;

std::vector<Wish> sound() {
  return {
      {.mesh = {}},
      {.mesh = {.data = 2}, .zero_stage = 0},
      {.mesh = {.data = 2}, .zero_stage = 1, .order = Recipe::SumOrder::fast},
      {.mesh = {.data = 3}, .zero_stage = 2, .dtype = Dtype::bf16},
      {.mesh = {.data = 4}, .zero_stage = 3, .microbatch_rows = 1},
      {.mesh = {.data = 4, .shard = 2}, .zero_stage = 3, .smoothing = 0.1},
      {.mesh = {.pipe = 2}},
      {.mesh = {.pipe = 3}, .schedule = Schedule::zero_bubble, .recompute = 2},
      {.mesh = {.pipe = 2}, .schedule = Schedule::interleaved, .dtype = Dtype::bf16},
      {.mesh = {.pipe = 4}, .recompute = 1, .accumulation = 5},
      {.mesh = {.pipe = 2, .data = 2}, .zero_stage = 3, .schedule = Schedule::zero_bubble},
      {.mesh = {.tensor = 2}},
      {.mesh = {.tensor = 4}, .recompute = 1, .dtype = Dtype::bf16, .smoothing = 0.1},
      {.mesh = {.tensor = 8}, .microbatch_rows = 1},
      {.mesh = {.context = 2}, .dtype = Dtype::bf16},
      {.mesh = {.context = 4}, .zero_stage = 3, .recompute = 1},
      {.mesh = {.data = 2, .tensor = 2}, .zero_stage = 3},
      {.mesh = {.data = 2, .context = 2, .shard = 2}, .zero_stage = 2},
      {.mesh = {.context = 2, .tensor = 2}, .smoothing = 0.1},
      {.mesh = {.pipe = 2, .tensor = 2}, .dtype = Dtype::bf16},
      {.mesh = {.pipe = 2, .context = 2}, .schedule = Schedule::zero_bubble},
      {.mesh = {.pipe = 2, .data = 2, .tensor = 2}, .zero_stage = 3, .schedule = Schedule::interleaved},
  };
}

class Sound : public testing::TestWithParam<std::string> {};

TEST_P(Sound, MeshesAreGood) {
  ASSERT_GE(sound().size(), 20U);
  for (const Wish& wish : sound()) {
    const VerifyReport report = test::verified(wish, GetParam());
    EXPECT_TRUE(report.good()) << verify_text(report, GetParam());
    EXPECT_EQ(report.checks.size(), wish.dtype == Dtype::bf16 ? 16U : 8U);
    EXPECT_NO_THROW(require_good(report, "recipe"));
  }
}

INSTANTIATE_TEST_SUITE_P(Family, Sound, testing::ValuesIn(test::families()),
                         [](const auto& family) { return family.param; });

struct Case {
  Fault fault;
  Wish wish;
  std::string axis;
  std::string family = "llama";
};

void expect_caught(const Case& one) {
  const VerifyReport report = test::verified(one.wish, one.family, one.fault);
  const std::string text = verify_text(report, "recipe.yaml");
  const VerifyCheck* worst = report.worst();
  ASSERT_NE(worst, nullptr) << "fault " << static_cast<int>(one.fault) << "\n" << text;
  EXPECT_THAT(report.axes, ElementsAre(one.axis)) << text;
  const auto parameters = Transformer(report.plan.config).parameters();
  EXPECT_TRUE(std::any_of(parameters.begin(), parameters.end(), [&](const Parameter& parameter) {
    return parameter.name == worst->parameter;
  })) << text;
  EXPECT_GE(worst->rank, 0);
  EXPECT_LT(worst->rank, one.wish.mesh.ranks());
  try {
    require_good(report, "recipe.yaml");
    FAIL() << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::validation);
    EXPECT_EQ(exit_code(error.kind()), 17);
    for (const std::string& part : {worst->parameter, fmt::format("rank {}", worst->rank), "axis: " + one.axis}) {
      EXPECT_THAT(error.text(), HasSubstr(part));
    }
  }
}

TEST(Caught, AMissingSum) {
  expect_caught({Fault::missing_sum, {.mesh = {.data = 2}}, "data"});
  expect_caught({Fault::missing_sum, {.mesh = {.data = 2}, .zero_stage = 3}, "data"});
  expect_caught({Fault::missing_sum, {.mesh = {.context = 2}}, "context"});
  expect_caught({Fault::missing_sum, {.mesh = {.tensor = 2}}, "tensor"});
  expect_caught({Fault::missing_sum, {.mesh = {.pipe = 2, .tensor = 2}}, "tensor", "qwen3"});
  expect_caught({Fault::unsummed, {.mesh = {.pipe = 2}}, "pipe"});      // tied ends
  expect_caught({Fault::unsummed, {.mesh = {.tensor = 2}}, "tensor"});  // gains
}

TEST(Caught, ADoubledGradient) {
  expect_caught({Fault::doubled, {.mesh = {.data = 2}, .zero_stage = 2}, "data"});
  expect_caught({Fault::doubled, {.mesh = {.tensor = 2}}, "tensor", "qwen2"});
  expect_caught({Fault::doubled, {.mesh = {.pipe = 2, .tensor = 2}}, "tensor"});
}

TEST(Caught, AStaleWeight) {
  expect_caught({Fault::stale, {.mesh = {.data = 2}, .zero_stage = 1}, "data"});
  expect_caught({Fault::stale, {.mesh = {.data = 2, .shard = 2}, .zero_stage = 2}, "data", "mistral"});
  expect_caught({Fault::stale, {.mesh = {.data = 2}, .zero_stage = 3}, "data"});
}

TEST(Caught, ASwappedShard) {
  expect_caught({Fault::swapped, {.mesh = {.data = 2}, .zero_stage = 3}, "data"});
  expect_caught({Fault::swapped, {.mesh = {.data = 2, .shard = 2}, .zero_stage = 1}, "data"});
  expect_caught({Fault::swapped, {.mesh = {.tensor = 2}}, "tensor"});
  expect_caught({Fault::swapped, {.mesh = {.pipe = 2, .tensor = 2}}, "tensor"});
}

TEST(Caught, AMessageThatGoesWrong) {
  expect_caught({Fault::wrong_neighbour, {.mesh = {.context = 2}}, "context"});
  expect_caught({Fault::wrong_neighbour, {.mesh = {.context = 3}}, "context", "mistral"});
  expect_caught({Fault::lost_half, {.mesh = {.pipe = 2}}, "pipe"});
  expect_caught({Fault::lost_half, {.mesh = {.pipe = 2, .tensor = 2}}, "pipe"});
}

TEST(Caught, AnOffByOneDocumentBorder) {
  expect_caught({Fault::late_border, {.mesh = {.data = 2}}, "data"});
  expect_caught({Fault::late_border, {.mesh = {.pipe = 2}}, "pipe"});
  expect_caught({Fault::late_border, {.mesh = {.context = 2}}, "context"});
  expect_caught({Fault::late_border, {.mesh = {.tensor = 2}}, "tensor"});
}

TEST(Caught, AWrongDenominator) {
  expect_caught({Fault::denominator, {.mesh = {.data = 2}}, "data"});
  expect_caught({Fault::denominator, {.mesh = {.pipe = 2}}, "pipe"});
  expect_caught({Fault::denominator, {.mesh = {.context = 2}}, "context"});
  expect_caught({Fault::denominator, {.mesh = {.tensor = 2}}, "tensor"});
}

TEST(Adam, MeshesAreGoodHoweverAdamDivides) {
  for (const double beta2 : {0.0, 0.1, 0.999}) {
    for (const double epsilon : {1e-15, 1e-8, 1.0}) {
      for (const double max_norm : {1e-9, 0.001, 1.0}) {
        for (Wish wish : {Wish{.mesh = {.tensor = 2}, .dtype = Dtype::bf16},
                          Wish{.mesh = {.data = 2}, .order = Recipe::SumOrder::fast},
                          Wish{.mesh = {.context = 2, .tensor = 2}, .zero_stage = 2}}) {
          wish.beta2 = beta2;
          wish.epsilon = epsilon;
          wish.max_norm = max_norm;
          const VerifyReport report = test::verified(wish, "qwen2");
          EXPECT_TRUE(report.good()) << beta2 << " " << epsilon << " " << max_norm << "\n" << verify_text(report, "");
          for (const VerifyCheck& check : report.checks) {
            const bool change = check.what.starts_with("change");
            EXPECT_LE(check.allowed, change ? 1 : std::numeric_limits<double>::infinity()) << verify_text(report, "");
          }
        }
      }
    }
  }
}

/// Adam moves a weight whose gradient is rounding noise by the whole rate, either way: the second step's gradients are of weights
/// that differ between two sound runs, unless the oracle takes the weights of the run it judges.
TEST(Adam, ASecondStepIsJudgedAtItsOwnWeights) {
  ModelConfig config = test::real_config("qwen2");
  config.width = 16;
  config.heads = 2;
  config.key_value_heads = 1;
  config.layers = 1;
  config.hidden = 5;
  config.vocabulary = 97;
  config.norm_epsilon = 1e-6F;
  config.head_width = 8;
  config.rope.theta = 10000;
  for (const double epsilon : {1e-15, 1e-8}) {
    const VerifyReport report = test::verified({.mesh = {.context = 2},
                                                .dtype = Dtype::bf16,
                                                .smoothing = 0.1,
                                                .microbatch_rows = 1,
                                                .beta2 = 0.999,
                                                .epsilon = epsilon},
                                               config);
    EXPECT_TRUE(report.good()) << verify_text(report, "");
  }
}

/// A norm over two elements has two gains, whose gradients may cancel: the copy's heads are wider.
TEST(Narrow, HeadsAreGood) {
  ModelConfig config = test::real_config("qwen3");
  config.width = 24;
  config.heads = 12;
  config.key_value_heads = 4;
  config.head_width = 2;
  config.hidden = 5;
  config.layers = 1;
  config.vocabulary = 17;
  const VerifyReport report = test::verified({.mesh = {.context = 4, .tensor = 2, .shard = 4},
                                              .dtype = Dtype::bf16,
                                              .smoothing = 0.1,
                                              .order = Recipe::SumOrder::fast,
                                              .microbatch_rows = 3,
                                              .accumulation = 1},
                                             config);
  EXPECT_TRUE(report.good()) << verify_text(report, "");
}

TEST(Caught, AnUpdateThatIsWrongWhereNoBitsArePromised) {
  for (const double beta2 : {0.0, 0.999}) {
    for (const double epsilon : {1e-15, 1e-8, 1.0}) {
      const Wish wish{.mesh = {.tensor = 2}, .dtype = Dtype::bf16, .beta2 = beta2, .epsilon = epsilon};
      const VerifyReport report = test::verified(wish, "llama", Fault::hasty_update);
      ASSERT_FALSE(report.good());
      EXPECT_EQ(report.worst()->what, "change of weights in two steps");
      EXPECT_EQ(report.worst()->rank, 1);
      EXPECT_LT(report.worst()->allowed, 0.1) << verify_text(report, "");
    }
  }
}

TEST(Caught, AFaultOfTheLastRankInGradientsOrUpdates) {
  const std::vector<Wish> wishes{{.mesh = {.data = 2}},
                                 {.mesh = {.data = 3}, .zero_stage = 3},
                                 {.mesh = {.data = 2}, .accumulation = 1},
                                 {.mesh = {.pipe = 2}},
                                 {.mesh = {.context = 2}},
                                 {.mesh = {.tensor = 2}},
                                 {.mesh = {.data = 2, .tensor = 2}},
                                 {.mesh = {.data = 2, .context = 2}},
                                 {.mesh = {.pipe = 2, .data = 2}}};
  for (const Wish& wish : wishes) {
    for (const Fault fault : {Fault::late_border, Fault::denominator}) {
      const VerifyReport report = test::verified(wish, "llama", fault, 1, wish.mesh.ranks() - 1);
      const std::string text = verify_text(report, "");
      ASSERT_FALSE(report.good()) << wish.mesh.text();
      EXPECT_EQ(report.worst()->what, "gradient") << text;
      EXPECT_GT(report.worst()->error, 10 * report.worst()->allowed) << text;
      const std::vector<Axis> axes = axes_of(wish.mesh);
      if (axes.size() == 1) {
        EXPECT_THAT(report.axes, ElementsAre(name_of(axes[0]))) << text;
      }
    }
    const VerifyReport hasty = test::verified(wish, "llama", Fault::hasty_update, 1, wish.mesh.ranks() - 1);
    ASSERT_FALSE(hasty.good()) << wish.mesh.text();
    EXPECT_EQ(hasty.worst()->what, "change of weights in two steps");
  }
}

TEST(Caught, AnUpdateThatIsWrongOnOneRankNamesIt) {
  for (const int zero_stage : {0, 3}) {
    const VerifyReport report =
        test::verified({.mesh = {.data = 3}, .zero_stage = zero_stage}, "qwen2", Fault::hasty_update);
    ASSERT_FALSE(report.good());
    EXPECT_EQ(report.worst()->what, "change of weights in two steps");
    EXPECT_EQ(report.worst()->rank, 1);
    EXPECT_THAT(report.axes, ElementsAre("data"));
  }
}

TEST(Caught, TheParameterThatIsOff) {
  const VerifyReport tied = test::verified({.mesh = {.pipe = 2}}, "llama", Fault::unsummed);
  ASSERT_FALSE(tied.good());
  EXPECT_EQ(tied.worst()->parameter, "embedding");
  const VerifyReport gains = test::verified({.mesh = {.tensor = 2}}, "qwen3", Fault::unsummed);
  ASSERT_FALSE(gains.good());
  EXPECT_THAT(gains.worst()->parameter, HasSubstr("norm"));
}

TEST(Caught, WhatOnlyTwoAxesOrAllTogetherDo) {
  const Wish wish{.mesh = {.pipe = 2, .data = 2, .tensor = 2}};
  const VerifyReport pairs = test::verified(wish, "llama", Fault::missing_sum, 4);
  EXPECT_THAT(pairs.axes, ElementsAre("pipe x data", "pipe x tensor", "data x tensor"));
  const VerifyReport two = test::verified({.mesh = {.data = 2, .tensor = 2}}, "llama", Fault::missing_sum, 4);
  EXPECT_THAT(two.axes, ElementsAre("data x tensor")) << "of two axes there is one pair";
  const VerifyReport all = test::verified(wish, "llama", Fault::missing_sum, 8);
  EXPECT_FALSE(all.good());
  EXPECT_TRUE(all.axes.empty());
  EXPECT_EQ(axes_text(all), "none alone, only all together (pipe 2 x data 2 x tensor 2)");
}

TEST(Report, SaysInJsonWhatIsOff) {
  const VerifyReport report = test::verified({.mesh = {.pipe = 2, .tensor = 2}}, "llama", Fault::swapped);
  ASSERT_FALSE(report.good());
  const auto json = nlohmann::json::parse(verify_json(report, "recipe.yaml"));
  EXPECT_EQ(json["good"], false);
  EXPECT_EQ(json["mesh"]["tensor"], 2);
  EXPECT_EQ(json["off"]["what"], "gradient");
  EXPECT_EQ(json["off"]["parameter"], report.worst()->parameter);
  EXPECT_EQ(json["off"]["rank"], report.worst()->rank);
  EXPECT_EQ(json["off"]["axes"], std::vector<std::string>{"tensor"});
  EXPECT_EQ(json["checks"].size(), 8U);
}

}  // namespace
}  // namespace hearth
