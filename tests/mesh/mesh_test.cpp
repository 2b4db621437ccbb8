// Every mesh against one rank.
#include <gtest/gtest.h>

#include "mesh/mesh_run.h"

namespace hearth {
namespace {

using test::MeshRun;

/// The oracle of a family, dtype and smoothing, made once.
const test::MeshResult& oracle_of(const MeshRun& run) {
  static std::map<std::string, test::MeshResult> known;  // of this test program alone
  const std::string key = fmt::format("{} {} {} {}", run.family, name_of(run.dtype), run.smoothing, run.steps);
  const auto found = known.find(key);
  return found != known.end() ? found->second : known.emplace(key, test::run_alone(run)).first->second;
}

void expect_oracle(const MeshRun& run) {
  const test::MeshResult result = test::run_threads(run);
  EXPECT_EQ(test::difference(run, result, oracle_of(run)), "") << run.text();
}

TEST(Mesh, DataAndZeroEqualOneRankToTheBit) {
  for (int stage = 0; stage <= 3; ++stage) {
    expect_oracle({.family = "llama_tied", .mesh = {.data = 2}, .zero_stage = stage});
    expect_oracle({.family = "qwen2", .mesh = {.data = 4}, .zero_stage = stage, .recompute = 1, .dtype = Dtype::bf16});
  }
}

TEST(Mesh, ShardsThatRepeatEqualOneRankToTheBit) {
  for (int stage = 0; stage <= 3; ++stage) {
    for (const int shard : {1, 2, 4}) {
      expect_oracle({.family = "llama_tied", .mesh = {.data = 4, .shard = shard}, .zero_stage = stage});
      expect_oracle(
          {.family = "qwen3", .mesh = {.data = 4, .shard = shard}, .zero_stage = stage, .dtype = Dtype::bf16});
    }
  }
}

TEST(Mesh, PipelinesEqualOneRankToTheBit) {
  for (const std::string& family : test::families()) {
    expect_oracle({.family = family, .mesh = {.pipe = 2}});
    expect_oracle({.family = family, .mesh = {.pipe = 4, .data = 2}, .zero_stage = 3, .recompute = 2});
    expect_oracle({.family = family,
                   .mesh = {.pipe = 2, .data = 2},
                   .zero_stage = 2,
                   .schedule = PipelineSchedule::interleaved,
                   .chunks = 2,
                   .dtype = Dtype::bf16});
  }
  for (const std::string family : {"llama_tied", "qwen2", "qwen3"}) {
    expect_oracle({.family = family,
                   .mesh = {.pipe = 3, .data = 2},
                   .zero_stage = 3,
                   .schedule = PipelineSchedule::zero_bubble,
                   .recompute = 2});
    expect_oracle({.family = family,
                   .mesh = {.pipe = 2},
                   .zero_stage = 1,
                   .schedule = PipelineSchedule::zero_bubble,
                   .dtype = Dtype::bf16});
  }
  expect_oracle({.mesh = {.pipe = 3, .data = 2, .shard = 1}, .zero_stage = 1});
  expect_oracle({.mesh = {.pipe = 8}, .zero_stage = 3, .dtype = Dtype::bf16});
  expect_oracle({.mesh = {.pipe = 2, .data = 4, .shard = 2},
                 .zero_stage = 3,
                 .schedule = PipelineSchedule::interleaved,
                 .chunks = 4});
}

TEST(Mesh, TensorAxesAreWithinTheBound) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const std::string& family : test::families()) {
      expect_oracle({.family = family, .mesh = {.tensor = 2}, .dtype = dtype});
      expect_oracle({.family = family, .mesh = {.tensor = 4}, .recompute = 1, .dtype = dtype, .smoothing = 0.1});
      expect_oracle({.family = family, .mesh = {.data = 2, .tensor = 2}, .zero_stage = 3, .dtype = dtype});
    }
    expect_oracle({.family = "llama_three", .mesh = {.tensor = 3}, .zero_stage = 1, .dtype = dtype});
    expect_oracle({.family = "llama_three", .mesh = {.tensor = 6}, .dtype = dtype});
  }
}

TEST(Mesh, ContextAxesAreWithinTheBound) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const std::string& family : test::families()) {
      expect_oracle({.family = family, .mesh = {.context = 2}, .dtype = dtype});
      expect_oracle({.family = family, .mesh = {.context = 4}, .zero_stage = 3, .recompute = 1, .dtype = dtype});
      expect_oracle({.family = family, .mesh = {.data = 2, .context = 2, .shard = 2}, .zero_stage = 2, .dtype = dtype});
    }
  }
}

TEST(Mesh, EveryAxisWithEveryOtherIsWithinTheBound) {
  for (const std::string& family : test::families()) {
    expect_oracle({.family = family, .mesh = {.context = 2, .tensor = 2}, .smoothing = 0.1});
    expect_oracle({.family = family, .mesh = {.pipe = 2, .tensor = 2}, .recompute = 2});
    expect_oracle({.family = family, .mesh = {.pipe = 2, .context = 2}, .schedule = PipelineSchedule::zero_bubble});
    expect_oracle({.family = family, .mesh = {.pipe = 2, .data = 2, .tensor = 2}, .zero_stage = 3});
    expect_oracle({.family = family,
                   .mesh = {.pipe = 2, .context = 2, .tensor = 2},
                   .zero_stage = 1,
                   .schedule = PipelineSchedule::interleaved,
                   .chunks = 2,
                   .dtype = Dtype::bf16});
    expect_oracle({.family = family,
                   .mesh = {.pipe = 2, .data = 2, .context = 2, .tensor = 2, .shard = 2},
                   .zero_stage = 3,
                   .schedule = PipelineSchedule::zero_bubble});
  }
}

}  // namespace
}  // namespace hearth
