// The shared known answers: published configs and their parameter counts, the golden models' configs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "expect_error.h"
#include "model/hf/config.h"
#include "model/hf/names.h"
#include "model/rotary.h"
#include "support/shared.h"

namespace hearth {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::set<std::string> not_yet = {"qwen3-30b-a3b", "qwen3-235b-a22b", "deepseek-v3", "qwen3-moe"};

TEST(SharedConfigs, ParameterCountsAreThePublishedOnes) {
  const Path folder = test::shared() / "data/configs";
  const auto counts = nlohmann::json::parse(read_text(folder / "PARAMETERS.json"));
  int read = 0;
  for (const auto& [name, count] : counts.items()) {
    const Path path = folder / (name + ".json");
    if (not_yet.contains(name)) {
      EXPECT_THAT(test::refusal([&] { hf::read_config(path); }),
                  AllOf(HasSubstr("model_type"), HasSubstr("not there yet")));
      continue;
    }
    const ModelConfig config = hf::read_config(path);
    EXPECT_EQ(config.parameters(), count.get<std::int64_t>()) << name;
    EXPECT_EQ(config.dtype, Dtype::bf16) << name;
    ++read;
  }
  EXPECT_EQ(read, 19);
}

TEST(SharedConfigs, WrittenAgainTheySayTheSameAndMore) {
  for (const auto& entry : std::filesystem::directory_iterator(test::shared() / "data/configs")) {
    const std::string name = entry.path().stem().string();
    if (name == "PARAMETERS" || not_yet.contains(name)) continue;
    const ModelConfig config = hf::read_config(entry.path());
    const auto before = nlohmann::json::parse(config.source_json);
    const auto after = nlohmann::json::parse(hf::to_json(config, Dtype::bf16));
    for (const auto& [key, value] : before.items()) EXPECT_EQ(after.value(key, nlohmann::json()), value) << name << key;
  }
}

TEST(SharedConfigs, GoldenModels) {
  int read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::shared() / "golden/models")) {
    const std::string name = entry.path().filename().string();
    if (not_yet.contains(name)) {
      EXPECT_THAT(test::refusal([&] { hf::read_config(entry.path()); }), HasSubstr("not there yet")) << name;
      continue;
    }
    const ModelConfig config = hf::read_config(entry.path());
    EXPECT_EQ(rotary_of(config).inverse_frequency.size(), static_cast<std::size_t>(config.head_width / 2));
    EXPECT_EQ(config.window, name == "mistral-window" ? 12 : 0);
    ++read;
  }
  EXPECT_EQ(read, 7);
}

}  // namespace
}  // namespace hearth
