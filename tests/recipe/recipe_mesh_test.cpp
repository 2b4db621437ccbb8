// The mesh of a recipe against ranks, models and schedules.
#include "trainer/recipe_mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "read.h"

namespace hearth {
namespace {

using test::least;
using test::read;
using testing::HasSubstr;

template <class Call>
std::string refusal_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::usage);
    return error.text();
  }
  return "accepted";
}

TEST(RecipeMesh, TheDataAxisIsWhatIsLeft) {
  const Recipe recipe = read(least + "tensor_parallel_size: 2\npipeline_parallel_size: 3\ncontext_parallel_size: 2\n");
  EXPECT_EQ(mesh_shape(recipe, 24), (MeshShape{.pipe = 3, .data = 2, .context = 2, .tensor = 2}));
  EXPECT_EQ(mesh_shape(read(least), 5), (MeshShape{.data = 5}));
  EXPECT_THAT(refusal_of([&] { mesh_shape(recipe, 18); }),
              HasSubstr("is 12, which does not divide 18 rank(s): start 12 or 24 ranks"));
  EXPECT_THAT(refusal_of([&] { mesh_shape(recipe, 5); }), HasSubstr("start 12 ranks"));
}

TEST(RecipeMesh, ZeroStageAndShards) {
  EXPECT_EQ(zero_stage(read(least), 1), 0);
  EXPECT_EQ(zero_stage(read(least), 2), 3);
  EXPECT_EQ(zero_stage(read(least + "zero_stage: 1\n"), 2), 1);
  const Recipe shards = read(least + "dp_shard_size: 4\ncontext_parallel_size: 2\n");
  EXPECT_EQ(mesh_shape(shards, 8).shard, 4);
  EXPECT_THAT(refusal_of([&] { mesh_shape(shards, 10); }),
              HasSubstr("data_shard_size: 4: it must divide data x context, which is 5 x 2 here; 2 or 5 does"));
  EXPECT_THAT(refusal_of([&] { mesh_shape(shards, 2); }), HasSubstr("which is 1 x 2 here; 2 does"));
}

TEST(RecipeMesh, AModelThatCannotBeCutIsRefusedWithTheNearestSizes) {
  ModelConfig config;
  config.layers = 2;
  config.heads = 12;
  config.key_value_heads = 4;
  for (const int size : {1, 2, 4, 12}) EXPECT_NO_THROW(check_model(config, {.tensor = size})) << size;
  EXPECT_THAT(refusal_of([&] { check_model(config, {.tensor = 3}); }),
              HasSubstr("tensor_parallel_size: 3: this model has 12 heads and 4 key-value heads"));
  EXPECT_THAT(refusal_of([&] { check_model(config, {.tensor = 3}); }), HasSubstr("use 2 or 4"));
  EXPECT_THAT(refusal_of([&] { check_model(config, {.tensor = 24}); }), HasSubstr("use 12"));
  EXPECT_NO_THROW(check_model(config, {.pipe = 7}));
  EXPECT_THAT(refusal_of([&] { check_model(config, {.pipe = 8}); }), HasSubstr("use at most 7 stages"));
  EXPECT_THAT(refusal_of([&] { check_model(config, {.pipe = 4}, 2); }), HasSubstr("use at most 3 stages"));
  EXPECT_THAT(refusal_of([&] { check_model(config, {.pipe = 2}, 7); }),
              testing::EndsWith("use at most 1 stage, or 3 chunks"));
  EXPECT_THAT(refusal_of([&] { check_model(config, {.pipe = 2}, 20); }), testing::EndsWith("use at most 3 chunks"));
}

TEST(RecipeMesh, MicrobatchesSuitTheSchedule) {
  const Recipe recipe = read(least + "pipeline_parallel_size: 2\npipeline_schedule: interleaved\n");
  EXPECT_EQ(chunks_of(recipe), 2);
  EXPECT_NO_THROW(check_schedule(recipe, {.pipe = 2, .data = 2}, 8));
  EXPECT_THAT(refusal_of([&] { check_schedule(recipe, {.pipe = 2, .data = 2}, 6); }),
              HasSubstr("pipeline_schedule: interleaved with 3 microbatches on 2 stages"));
  EXPECT_THAT(refusal_of([&] { check_schedule(recipe, {.pipe = 2, .data = 2}, 6); }),
              HasSubstr("2 or 4 would (on each of 2 data ranks, of 6 together)"));
  EXPECT_THAT(refusal_of([&] { check_schedule(recipe, {.pipe = 2}, 1); }), HasSubstr("1 microbatch on 2 stages"));
  const Recipe one = read(least + "pipeline_parallel_size: 2\npipeline_schedule: interleaved\npipeline_chunks: 1\n");
  const std::string why = refusal_of([&] { check_chunks(one); });
  EXPECT_THAT(why, HasSubstr("interleaved with 1 chunk a stage"));
  EXPECT_EQ(refusal_of([&] { check_schedule(one, {.pipe = 2, .data = 2}, 3); }), why) << "no word of microbatches";
  EXPECT_EQ(chunks_of(read(least)), 1);
  const std::string three = least + "pipeline_schedule: interleaved\npipeline_chunks: 3\n";
  EXPECT_EQ(chunks_of(read(three + "pipeline_parallel_size: 2\n")), 3);
  EXPECT_EQ(chunks_of(read(three)), 1) << "one stage has nothing to schedule";
  EXPECT_EQ(schedule_kind(read(three)), PipelineSchedule::one_f_one_b);
}

TEST(RecipeMesh, KeysWithoutEffectAreNoted) {
  const auto notes = [](const std::string& keys) { return read(least + keys).notes; };
  const std::string idle = "has no effect with pipeline_parallel_size: 1, as one stage has nothing to schedule";
  EXPECT_THAT(notes("pipeline_schedule: interleaved\n"), testing::ElementsAre("pipeline_schedule " + idle));
  EXPECT_THAT(notes("pipeline_chunks: 2\n"), testing::ElementsAre("pipeline_chunks " + idle));
  EXPECT_THAT(
      notes("zero_stage: 0\ndata_shard_size: 2\n"),
      testing::ElementsAre("data_shard_size: 2 has no effect with zero_stage: 0, which cuts nothing into shards"));
  for (const char* keys : {"", "pipeline_schedule: 1f1b\npipeline_chunks: 1\n", "zero_stage: 0\n",
                           "data_shard_size: 2\n", "zero_stage: 1\ndata_shard_size: 2\n",
                           "pipeline_schedule: interleaved\npipeline_chunks: 2\npipeline_parallel_size: 2\n"}) {
    EXPECT_THAT(notes(keys), testing::IsEmpty()) << keys;
  }
}

}  // namespace
}  // namespace hearth
