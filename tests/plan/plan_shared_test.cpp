// Every dense model that is published, on 8 to 1024 devices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/hf/config.h"
#include "plan/plans.h"
#include "support/shared.h"

namespace hearth {
namespace {

constexpr double gibi = 1073741824.0;

std::vector<std::string> configs() {
  const auto parameters = nlohmann::json::parse(read_text(test::shared() / "data/configs/PARAMETERS.json"));
  std::vector<std::string> names;
  for (const auto& [name, count] : parameters.items()) names.push_back(name);
  return names;
}

bool is_mixture(const std::string& name) {
  return name == "deepseek-v3" || name.find("-a3b") != std::string::npos || name.find("-a22b") != std::string::npos;
}

class Published : public testing::TestWithParam<std::string> {
 protected:
  Path file() const { return test::shared() / "data/configs" / (GetParam() + ".json"); }
};

TEST_P(Published, ParametersAreCounted) {
  if (is_mixture(GetParam())) {
    try {
      hf::read_config(file());
      FAIL() << "a mixture was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Kind::data);
      EXPECT_THAT(error.text(), testing::HasSubstr("mixtures of experts are not there yet"));
    }
    return;
  }
  const auto parameters = nlohmann::json::parse(read_text(test::shared() / "data/configs/PARAMETERS.json"));
  const ModelConfig config = hf::read_config(file());
  EXPECT_EQ(config.parameters(), parameters[GetParam()].get<std::int64_t>());
  const Transformer model(config);
  std::int64_t count = 0;
  for (const Parameter& parameter : model.parameters()) count += parameter.full.elements();
  EXPECT_EQ(count, config.parameters());
}

TEST_P(Published, IsPlannedOnEveryMesh) {
  if (is_mixture(GetParam())) return;
  const ModelConfig config = hf::read_config(file());
  for (const char* name : {"h100", "h200"}) {
    const Machine machine = test::shipped(name);
    const double memory = (machine.name == "h100" ? 80 : 141) * gibi;
    double fastest = 0;
    for (const int devices : {8, 16, 64, 1024}) {
      SCOPED_TRACE(fmt::format("{} x {}", devices, name));
      PlanRequest request;
      request.row_tokens = 4096;
      request.rows = 4 * devices;
      Planner planner(config, request, machine, memory);
      const auto plans = planner.all(devices);
      for (const MeshPlan& plan : plans) {
        if (!plan.refusal.empty()) {
          EXPECT_THAT(plan.refusal, testing::ContainsRegex("needs .* of |tensor_parallel_size|pipeline_parallel_size|"
                                                           "global_batch_size|context_parallel_size"));
          continue;
        }
        EXPECT_LE(plan.bytes, memory);
        EXPECT_LT(plan.time.mfu_causal, 0.72);
      }
      // State alone, 16 bytes a parameter, says where a model cannot do.
      const bool hopeless = 16.0 * static_cast<double>(config.parameters()) / devices > memory;
      EXPECT_FALSE(hopeless && plans.front().refusal.empty());
      if (!plans.front().refusal.empty()) continue;
      // More devices do more, at no better a share of their peak than a tenth above what fewer reach.
      EXPECT_GT(plans.front().time.tokens_per_second, fastest);
      fastest = plans.front().time.tokens_per_second;
    }
    EXPECT_GT(fastest, 0) << "1024 devices hold every model";
  }
}

INSTANTIATE_TEST_SUITE_P(Configs, Published, testing::ValuesIn(configs()), [](const auto& of) {
  std::string name = of.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
});

}  // namespace
}  // namespace hearth
