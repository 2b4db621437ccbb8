// The shared known answers: published configs and their parameter counts, the golden models' configs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "expect_error.h"
#include "model/hf/config.h"
#include "model/hf/config_keys.h"
#include "model/hf/inspect.h"
#include "model/hf/names.h"
#include "model/hf/weight_files.h"
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
    EXPECT_THAT(hf::unknown_keys(config.source_json), ::testing::IsEmpty()) << name;
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

TEST(SharedWeights, BadFilesAsExpected) {
  const Path folder = test::shared() / "data/vectors/badfiles/safetensors";
  const auto expected = nlohmann::json::parse(read_text(folder / "EXPECT.json"));
  ASSERT_GE(expected.size(), 30U);
  for (const auto& [name, entry] : expected.items()) {
    const auto verdict = entry["expect"].get<std::string>();
    const Path path = folder / name;
    ASSERT_EQ(std::filesystem::file_size(path), entry["size"].get<std::uint64_t>()) << name;
    if (verdict == "ok") {
      EXPECT_NO_THROW(hf::describe(path)) << name;
    } else if (verdict == "reject-or-missing-tensor") {
      const ModelConfig config = hf::read_config(test::shared() / "data/models/stories260K");
      test::refusal([&] { hf::check_complete(hf::WeightFiles(path), config); });
    } else {
      const std::string text = test::refusal([&] { hf::describe(path); });
      EXPECT_THAT(text, HasSubstr(name));
      EXPECT_THAT(text, HasSubstr(verdict.starts_with("reject") ? "" : ": " + verdict + ":")) << name;
    }
  }
  EXPECT_THAT(test::refusal([&] { hf::describe(folder / "lfs_pointer.safetensors"); }), HasSubstr("git lfs pull"));
  EXPECT_THAT(test::refusal([&] { hf::describe(folder / "html_error_page.safetensors"); }), HasSubstr("HTML"));
}

TEST(SharedWeights, GoldenModelsAreComplete) {
  for (const auto& entry : std::filesystem::directory_iterator(test::shared() / "golden/models")) {
    if (not_yet.contains(entry.path().filename().string())) continue;
    // expected.safetensors lies beside the weights and belongs to no index, so it must not disturb.
    const hf::Described described = hf::describe(entry.path());
    EXPECT_EQ(described.digest.size(), 96U);
    EXPECT_NO_THROW(hf::describe(entry.path() / "expected.safetensors"));
  }
}

TEST(SharedWeights, Stories260KIsTheSameInBothForms) {
  const Path folder = test::shared() / "data/models/stories260K";
  const ModelConfig config = hf::read_config(folder);
  const hf::WeightFiles single(folder);
  const hf::WeightFiles shards(folder / "bf16-sharded");
  EXPECT_EQ(shards.files().size(), 2U);
  hf::check_complete(single, config);
  hf::check_complete(shards, hf::read_config(folder / "bf16-sharded"));
  ASSERT_EQ(single.names(), shards.names());
  for (const std::string& name : single.names()) {
    const auto elements = static_cast<std::int64_t>(single.info(name).elements());
    std::vector<float> exact(static_cast<std::size_t>(elements));
    std::vector<float> rounded(exact.size());
    single.read_f32(name, 0, elements, exact.data());
    shards.read_f32(name, 0, elements, rounded.data());
    for (std::size_t i = 0; i < exact.size(); ++i)
      ASSERT_EQ(static_cast<float>(Bf16(exact[i])), rounded[i]) << name << " " << i;
  }
}

}  // namespace
}  // namespace hearth
