// Echo, round trips, what may differ when a run goes on.
#include <gmock/gmock.h>

#include <set>

#include "base/file.h"
#include "recipe/read.h"
#include "support/shared.h"
#include "trainer/recipe_keys.h"

namespace hearth {
namespace {

using test::least;
using test::least_from_nothing;
using test::read;
using testing::HasSubstr;
using testing::Not;

/// Recipes that between them set every key to something other than its default.
std::vector<std::string> samples() {
  const std::string everything =
      "output_dir: \"runs/a b: #c\\\"\\u00e9\"\nstage: pt\nfinetuning_type: full\n"
      "datasets: [{path: \"x, y.txt\", format: text, split: train, max_samples: 3, columns: {text: \"the text\"}}, "
      "z#4]\n"
      "eval_dataset: v.txt\nval_size: 12\ncache_dir: /cache\ncutoff_len: 77\noverflow: drop\npacking: none\n"
      "max_samples: 9\ntrain_on: {prompt: true}\nbad_rows: drop\nbad_rows_limit: 7\nshuffle: "
      "false\nper_device_train_batch_size: 2\nthreads_per_rank: 3\nlearning_rate: "
      "0.1234567891\n"
      "num_train_epochs: 1.5\nmax_steps: 40\nweight_decay: 0.3\nadam_beta1: 0.7\nadam_beta2: 0.8\nadam_epsilon: 1e-5\n"
      "label_smoothing_factor: 0.1\nmax_grad_norm: 2\ndtype: f32\nseed: 1\nzero_stage: 2\ndata_shard_size: 2\n"
      "sum_order: fast\nbf16_products: widened\ntensor_parallel_size: 2\npipeline_parallel_size: "
      "3\ncontext_parallel_size: 2\n"
      "pipeline_schedule: interleaved\npipeline_chunks: 3\n"
      "logging_steps: 1\nsave_steps: 2\nsave_every_minutes: 0.5\nsave_total_limit: 4\nsave_only_model: true\n"
      "plot_loss: false\neval_steps: 5\ndomain_qa: {path: qa.jsonl, max_new_tokens: 3}\n";
  return {
      least,
      least_from_nothing,
      everything +
          "model_config: {model_type: llama, rms_norm_eps: 1e-6, rope_theta: 10000.0, vocab_size: 300,"
          " rope_scaling: {rope_type: linear, factor: 2}, architectures: [A], sliding_window: null, _name_or_path: "
          "\"1\","
          " tie_word_embeddings: true}\n"
          "initializer_range: 0.5\ntokenizer_vocab_size: 300\nresume_from_checkpoint: none\n"
          "gradient_accumulation_steps: 3\nlr_scheduler_type: warmup_stable_decay\nmin_lr_ratio: 0.1\n"
          "decay_ratio: 0.3\nwarmup_steps: 4\ngradient_checkpointing: 2\n",
      everything +
          "model_config: {hidden_size: 8}\ninit: xavier\ntokenizer_name_or_path: ./t\n"
          "resume_from_checkpoint: \"true\"\nglobal_batch_size: 6\nlr_scheduler_type: constant\n"
          "gradient_checkpointing: true\n",
      everything + "model: \"none\"\nwarmup_ratio: 0.5\nlr_scheduler_type: linear\n",
  };
}

TEST(Echo, ReadsBackTheSame) {
  for (const std::string& text : samples()) {
    const Recipe recipe = read(text);
    const std::string echo = resolved_yaml(recipe);
    const Recipe again = read(echo);
    EXPECT_TRUE(recipe == again) << echo << "\n---\n" << resolved_yaml(again);
    EXPECT_TRUE(differences(recipe, again).empty());
  }
}

TEST(Echo, OfTheProjectsRecipes) {
  for (const char* name : {"pretrain_small.yaml", "continue_hf.yaml"}) {
    const Recipe recipe = read(read_text(Path(HEARTH_RECIPES) / name));
    EXPECT_TRUE(recipe == read(resolved_yaml(recipe))) << name;
    EXPECT_TRUE(recipe.notes.empty()) << name << ": " << recipe.notes[0];
  }
}

// A key that can be read but is not compared or echoed would be lost in checkpoints.
TEST(Echo, EveryKeyOfTheTableDiffersInSomeSample) {
  std::set<std::string> seen;
  const auto all = samples();
  for (const std::string& left : all) {
    for (const std::string& right : all) {
      for (const Difference& difference : differences(read(left), read(right))) seen.insert(difference.key);
    }
  }
  // These have one value that is not refused.
  for (const char* only : {"finetuning_type", "optim", "on_spike", "expert_parallel_size", "report_to"}) {
    EXPECT_TRUE(seen.insert(only).second) << only;
  }
  for (const RecipeKey& key : recipe_keys()) {
    EXPECT_TRUE(!key.working() || seen.contains(key.name)) << key.name;
  }
}

TEST(Echo, SaysHowAKeyWasStated) {
  const std::string echo = resolved_yaml(read(least + "lr: 0.5\nseed: 3\n"));
  EXPECT_THAT(echo, HasSubstr("  learning_rate: 0.5  # stated as lr\n"));
  EXPECT_THAT(echo, HasSubstr("  seed: 3\n"));
  const std::string betas = resolved_yaml(read(least + "optimizer: {betas: [0.8, 0.9]}\n"));
  EXPECT_THAT(betas, HasSubstr("  adam_beta1: 0.8  # stated as optimizer.betas\n"));
  EXPECT_THAT(betas, HasSubstr("  adam_beta2: 0.9  # stated as optimizer.betas\n"));
  EXPECT_THAT(echo, HasSubstr("  max_grad_norm: 1  # default\n"));
  EXPECT_THAT(echo, HasSubstr("train:\n"));
  EXPECT_THAT(echo, Not(HasSubstr("lora")));
}

TEST(Echo, ShowsWhatAStartSettledAndReadsBackTheSame) {
  const Settled settled{
      "4 rank(s): pipe 1 x data 4 x context 1 x tensor 1",
      {{"zero_stage", "3"}, {"cutoff_len", "512"}, {"gradient_accumulation_steps", "2"}, {"seed", "42"}}};
  const Recipe recipe = read(least);
  const std::string echo = resolved_yaml(recipe, settled);
  for (const char* line :
       {"# at this start: 4 rank(s): pipe 1 x data 4", "\n  # zero_stage: 3  (settled at this start)\n",
        "\n  # cutoff_len: 512  (settled at this start)\n",
        "\n  gradient_accumulation_steps: 1  # default; at this start: 2\n", "\n  seed: 42  # default\n"}) {
    EXPECT_THAT(echo, HasSubstr(line));
  }
  EXPECT_TRUE(read(echo) == recipe) << echo;
  EXPECT_THAT(resolved_yaml(read(least + "zero_stage: 3\ngradient_accumulation_steps: 1\n"), settled),
              testing::AllOf(HasSubstr("\n  zero_stage: 3\n"),
                             HasSubstr("\n  gradient_accumulation_steps: 1  # at this start: 2\n")));
}

TEST(Continuing, WhatMayDiffer) {
  const std::set<std::string> free = {"threads_per_rank",
                                      "zero_stage",
                                      "gradient_accumulation_steps",
                                      "bf16_products",
                                      "gradient_checkpointing",
                                      "logging_steps",
                                      "save_steps",
                                      "save_every_minutes",
                                      "save_total_limit",
                                      "save_only_model",
                                      "resume_from_checkpoint",
                                      "report_to",
                                      "plot_loss",
                                      "max_steps",
                                      "num_train_epochs",
                                      "output_dir",
                                      "cache_dir",
                                      "data_shard_size",
                                      "tensor_parallel_size",
                                      "pipeline_parallel_size",
                                      "context_parallel_size",
                                      "pipeline_schedule",
                                      "pipeline_chunks"};
  for (const RecipeKey& key : recipe_keys()) EXPECT_EQ(may_change(key.name), free.contains(key.name)) << key.name;
  EXPECT_FALSE(may_change("no such key"));
}

TEST(Continuing, OnlyLargerEndsAreAllowed) {
  const auto forbidden = [](const std::string& before, const std::string& now) {
    std::vector<std::string> keys;
    for (const Difference& difference : forbidden_changes(read(least + before), read(least + now))) {
      keys.push_back(difference.key);
    }
    return keys;
  };
  using Keys = std::vector<std::string>;
  EXPECT_EQ(forbidden("max_steps: 9\n", "max_steps: 10\n"), Keys{});
  EXPECT_EQ(forbidden("max_steps: 10\n", "max_steps: 9\n"), Keys{"max_steps"});
  EXPECT_EQ(forbidden("", "max_steps: 9\n"), Keys{"max_steps"});
  EXPECT_EQ(forbidden("max_steps: 9\n", ""), Keys{});  // a trial of some steps, then the whole run
  EXPECT_EQ(forbidden("num_train_epochs: 9.5\n", "num_train_epochs: 10\n"), Keys{});
  EXPECT_EQ(forbidden("num_train_epochs: 10\n", "num_train_epochs: 9\n"), Keys{"num_train_epochs"});
  EXPECT_EQ(forbidden("seed: 1\nzero_stage: 1\n", "seed: 2\nzero_stage: 3\nlr: 2\n"), (Keys{"learning_rate", "seed"}));
  const auto found = differences(read(least + "seed: 1\n"), read(least + "seed: 2\n"));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].before, "1");
  EXPECT_EQ(found[0].now, "2");
}

}  // namespace
}  // namespace hearth
