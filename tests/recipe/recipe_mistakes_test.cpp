// What is refused, and in which words.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "recipe/read.h"
#include "support/shared.h"

namespace hearth {
namespace {

using test::count;
using test::least;
using test::least_from_nothing;
using test::mistakes;
using test::read;
using testing::AllOf;
using testing::HasSubstr;

TEST(Mistakes, FiveGiveFiveMessagesInOrder) {
  EXPECT_EQ(
      mistakes("model_name_or_path: ./model\n"
               "finetuning_type: full\n"
               "datasets: ./corpus\n"
               "output_dr: runs/one\n"
               "learning_rate: fast\n"
               "train:\n"
               "  per_device_train_batch_size: 0\n"
               "  lora_rank: 8\n"
               "data:\n"
               "  packing: bdf\n"),
      "r.yaml: 5 mistakes\n"
      "r.yaml:4: unknown key `output_dr`; nearest: `output_dir` (section output)\n"
      "r.yaml:5: learning_rate: `fast` is not accepted here; accepted: a number above 0\n"
      "r.yaml:7: per_device_train_batch_size: `0` is not accepted here; accepted: a whole number from 1 to 1048576\n"
      "r.yaml:8: lora_rank: `8` belongs to LoRA, which this version does not have yet; remove it and write "
      "finetuning_type: full\n"
      "r.yaml:10: packing: `bdf` is not accepted here; accepted: none, bfd or wrapped (nearest: bfd)");
}

TEST(Mistakes, InAMisspeltSectionAreToldToo) {
  const std::string text = mistakes(least + "trian:\n  sede: 3\n  logging_steps: 5\n");
  EXPECT_EQ(count(text), 3) << text;
  EXPECT_THAT(text, AllOf(HasSubstr("r.yaml:5: unknown key `trian`; nearest: the section `train`"),
                          HasSubstr("r.yaml:6: unknown key `sede` in section train; nearest: `seed` (section train)"),
                          HasSubstr("r.yaml:7: `logging_steps` belongs to section output, not train")));
}

TEST(Mistakes, TwoSpellingsEvenWhenTheyAgree) {
  EXPECT_THAT(mistakes(least + "lr: 1e-5\nlearning_rate: 1e-5\n"),
              HasSubstr("r.yaml:6: `learning_rate` states learning_rate, which line 5 states already as `lr`"));
  EXPECT_THAT(mistakes(least + "seed: 1\ntrain: {seed: 1}\n"), HasSubstr("states already as `seed`"));
  EXPECT_THAT(mistakes(least + "seed: 1\nseed: 1\n"), HasSubstr("r.yaml:6: `seed` is stated a second time"));
  EXPECT_THAT(mistakes(least + "domain_qa: {path: a, path: b}\n"), HasSubstr("`path` is stated a second time"));
}

/// One spelling of another tool states two keys: both are stated then.
TEST(Mistakes, BothBetasAreStatedByOptimizerBetas) {
  EXPECT_EQ(
      mistakes(least + "optimizer: {betas: [0.8, 0.99]}\nadam_beta2: 0.9\n"),
      "r.yaml:6: `adam_beta2` states adam_beta2, which line 5 states already as `optimizer.betas`; keep one of the "
      "two");
  EXPECT_THAT(mistakes(least + "adam_beta1: 0.9\noptimizer.betas: [0.8, 0.99]\n"),
              HasSubstr("r.yaml:6: `optimizer.betas` states adam_beta1, which line 5 states already as `adam_beta1`"));
  EXPECT_EQ(count(mistakes(least + "optimizer.betas: [0.8, 1]\n")), 1);
  EXPECT_EQ(count(mistakes(least + "optimizer.betas: [0.8]\n", {"adam_beta1=0.7"})), 1);
  EXPECT_THAT(mistakes(least, {"optimizer.betas=[0.8, 0.99]", "adam_beta2=0.9"}),
              HasSubstr("--set adam_beta2=0.9: `adam_beta2` is overridden already"));
}

TEST(Mistakes, WrongKindsAndRanges) {
  for (const char* line : {"learning_rate: 0",
                           "learning_rate: -1",
                           "learning_rate: .nan",
                           "learning_rate: nan",
                           "learning_rate: .inf",
                           "learning_rate: inf",
                           "learning_rate: 1e999",
                           "learning_rate: [1]",
                           "learning_rate: {a: 1}",
                           "lr: 1e-3x",
                           "seed: 1.5",
                           "seed: -1",
                           "seed: 99999999999999999999",
                           "seed: true",
                           "seed: 0x10",
                           "shuffle: 1",
                           "shuffle: maybe",
                           "logging_steps: 0",
                           "save_total_limit: 1",
                           "zero_stage: 4",
                           "cutoff_len: 1",
                           "val_size: 1.5",
                           "val_size: 1.0",
                           "val_size: 2e2",
                           "val_size: -1",
                           "val_size: -0.1",
                           "adam_beta1: 1",
                           "adam_epsilon: 0",
                           "label_smoothing: 1",
                           "warmup_ratio: 1.1",
                           "warmup_steps: -1",
                           "max_steps: -2",
                           "num_train_epochs: 0",
                           "weight_decay: -1",
                           "max_grad_norm: -1",
                           "threads_per_rank: 0",
                           "gradient_checkpointing: -1",
                           "gradient_checkpointing: auto",
                           "init: uniform",
                           "stage: [pt]",
                           "optimizer: sgd",
                           "lr_scheduler: polynomial",
                           "dtype: f16",
                           "dtype: int8",
                           "sum_order: quick",
                           "on_spike: rollback",
                           "report_to: wandb",
                           "report_to: tensorboard",
                           "eval_strategy: epoch",
                           "datasets.x: 3",
                           "eval_dataset: []",
                           "eval_dataset: [[a]]",
                           "eval_dataset: {path: x, weight: 2}",
                           "eval_dataset: {path: x, format: alpaca}",
                           "eval_dataset: {path: x, format: txt}",
                           "eval_dataset: {format: text}",
                           "eval_dataset: {path: x, colums: {}}",
                           "eval_dataset: {path: x, columns: {promt: y}}",
                           "eval_dataset: {path: x, columns: {messages: y}}",
                           "eval_dataset: {path: x, max_samples: 0}",
                           "eval_dataset: ''",
                           "domain_qa: {}",
                           "domain_qa: {path: x, max_new_tokens: 0}",
                           "domain_qa: {path: x, new: 0}",
                           "train_on: {prompt: 3}",
                           "train_on: {history: false}",
                           "train_on: {roles: [user]}",
                           "train_on: {eos: all}",
                           "train_on: {eso: turn}",
                           "train_on: yes",
                           "optimizer.betas: [0.9]",
                           "optimizer: {betas: [0.9, 1.0]}",
                           "optimizer: {learning_rate: 3}",
                           "overflow: left",
                           "packing: bfd_split",
                           "? [a]\n: 3",
                           "seed: !int 3",
                           "tokenizer_vocab_size: 3",
                           "output_dir: {a: b}",
                           "42: 3",
                           "train: 3",
                           "data: ./corpus",
                           "resume_from_checkpoint: ''"}) {
    const std::string text = mistakes(least + line + "\n");
    EXPECT_THAT(text, HasSubstr("r.yaml:")) << line;
  }
}

TEST(Mistakes, TheExpertAxisIsRefusedByName) {
  EXPECT_EQ(mistakes(least + "expert_parallel_size: 1\n"), "");
  EXPECT_THAT(mistakes(least + "expert_parallel_size: 2\n"),
              HasSubstr("expert_parallel_size: `2` asks for an expert axis larger than one"));
  for (const char* axis : {"tensor_parallel_size", "pipeline_parallel_size", "context_parallel_size"}) {
    EXPECT_EQ(mistakes(least + axis + ": 2\n"), "");
    EXPECT_THAT(mistakes(least + axis + ": 0\n"), HasSubstr(axis));
  }
}

TEST(Mistakes, LaterCapabilitiesAreRefusedByName) {
  EXPECT_THAT(mistakes(least + "template: qwen\n"), HasSubstr("template: `qwen` belongs to chat templates"));
  EXPECT_THAT(mistakes(least + "fp16: true\n"), HasSubstr("fp16: `true` belongs to training in half precision"));
  EXPECT_THAT(mistakes(least + "replay: {ratio_tokens: 0.1}\n"), HasSubstr("belongs to replay"));
  EXPECT_THAT(mistakes(least + "privacy: {target_epsilon: 8, max_grad_norm: 1}\n"),
              AllOf(HasSubstr("target_epsilon: `8` belongs to training with differential privacy"),
                    HasSubstr("max_grad_norm: `1` belongs to training with differential privacy")));
  EXPECT_THAT(mistakes(least + "distill: {teacher_model: ./t, temperature: 2}\n"),
              AllOf(HasSubstr("teacher_model: `./t` belongs to distillation"), HasSubstr("temperature: `2` belongs")));
  EXPECT_THAT(mistakes(least + "load_in_4bit: true\n"), HasSubstr("asks for a quantised base"));
  EXPECT_THAT(mistakes(least + "stage: dpo\n"), HasSubstr("stage: `dpo` is a stage that this version does not have"));
  EXPECT_THAT(mistakes(least + "adapters: ./a\n"), HasSubstr("adapters: `./a` belongs to LoRA"));
  EXPECT_THAT(mistakes(least + "wandb_project: x\n"), HasSubstr("sends data over the network"));
  EXPECT_EQ(read(least + "load_in_4bit: false\nload_in_8bit: false\nfp16: false\nlora_r:\n").notes.size(), 4U);
}

TEST(Mistakes, FinetuningTypeIsAskedForInWords) {
  const std::string without = "model_name_or_path: ./m\ndatasets: ./c\noutput_dir: r\n";
  EXPECT_THAT(mistakes(without), HasSubstr("finetuning_type: full to train every weight"));
  EXPECT_THAT(mistakes(without + "stage: pt\n"), HasSubstr("write finetuning_type: full"));
  EXPECT_THAT(mistakes(without + "finetuning_type: lora\n"), HasSubstr("write finetuning_type: full"));
  EXPECT_EQ(count(mistakes(without + "finetuning_type: lora\n")), 1);
  EXPECT_EQ(mistakes(least_from_nothing), "");
  EXPECT_THAT(mistakes("model_config: {hidden_size: 8}\ndatasets: ./c\noutput_dir: r\n"), HasSubstr("finetuning_type"));
}

TEST(Mistakes, WhatIsMissing) {
  const std::string text = mistakes("finetuning_type: full\n");
  EXPECT_EQ(count(text), 3) << text;
  EXPECT_THAT(text, AllOf(HasSubstr("model_name_or_path is missing"), HasSubstr("datasets is missing"),
                          HasSubstr("output_dir is missing")));
  EXPECT_THAT(mistakes(""), HasSubstr("the recipe is empty"));
  EXPECT_THAT(mistakes("# nothing\n"), HasSubstr("the recipe is empty"));
  EXPECT_THAT(mistakes("- a\n"), HasSubstr("a recipe is a map of keys, not a list of 1"));
}

TEST(Mistakes, Contradictions) {
  EXPECT_THAT(mistakes(least + "warmup_ratio: 0.1\nwarmup_steps: 3\n"), HasSubstr("r.yaml:6: warmup_steps and"));
  EXPECT_THAT(mistakes(least + "model_config: {hidden_size: 8}\n"), HasSubstr("both stated"));
  EXPECT_THAT(mistakes(least + "tokenizer_vocab_size: 300\n"), HasSubstr("only for fresh weights"));
  EXPECT_THAT(mistakes(least + "init: normal\n"), HasSubstr("only for fresh weights"));
  EXPECT_THAT(mistakes(least_from_nothing + "tokenizer_vocab_size: 300\ntokenizer: ./t\n"), HasSubstr("remove one"));
  EXPECT_THAT(mistakes(least_from_nothing + "tokenizer_vocab_size: 300\n", {"model_config.vocab_size=299"}),
              HasSubstr("tokenizer_vocab_size: 300 is more than model_config.vocab_size, 299"));
  EXPECT_THAT(mistakes(least_from_nothing + "init: xavier\ninitializer_range: 0.1\n"), HasSubstr("its own spread"));
  EXPECT_THAT(mistakes(least + "min_lr_ratio: 0.1\n"), HasSubstr("cosine_with_min_lr and warmup_stable_decay"));
  EXPECT_THAT(mistakes(least + "min_lr: 1\nlr_scheduler: cosine_with_min_lr\n"), HasSubstr("above the peak"));
  EXPECT_THAT(mistakes(least + "decay_ratio: 0.2\n"), HasSubstr("decay_ratio: only"));
  EXPECT_THAT(mistakes(least + "decay_ratio: 0.9\nwarmup_ratio: 0.2\nlr_scheduler: warmup_stable_decay\n"),
              HasSubstr("more than the whole run"));
  EXPECT_THAT(mistakes(least + "num_decay_steps: 5\nlr_scheduler: warmup_stable_decay\n"),
              HasSubstr("needs max_steps"));
  EXPECT_THAT(mistakes(least + "batch_size: 3\nglobal_batch_size: 10\n"), HasSubstr("no multiple of the 3 rows"));
  EXPECT_THAT(mistakes(least + "eval_strategy: steps\nval_size: 3\n"), HasSubstr("needs eval_steps"));
  EXPECT_THAT(mistakes(least + "eval_steps: 3\n"), HasSubstr("nothing to measure"));
  EXPECT_THAT(mistakes(least + "eval_strategy: no\neval_steps: 3\n"), HasSubstr("remove one of the two"));
  EXPECT_THAT(mistakes(least, {"eval_strategy=no", "eval_steps=3"}), HasSubstr("remove one of the two"));
  EXPECT_THAT(mistakes(least + "eval_strategy: no\n", {"eval_steps=3"}), HasSubstr("remove one of the two"));
  EXPECT_THAT(mistakes(least + "max_steps_per_epoch: 3\n"), HasSubstr("counts steps within an epoch"));
  EXPECT_THAT(mistakes(least + "deepspeed: ds.json\n"), HasSubstr("state zero_stage"));
}

TEST(Mistakes, AShareOfOneIsNotOneRow) {
  EXPECT_EQ(
      mistakes(least + "val_size: 1.0\n"),
      "r.yaml:5: val_size: `1.0` is a share that leaves nothing to train on; accepted: a share below 1, or a whole "
      "number of documents or rows, written without a point");
  EXPECT_EQ(read(least + "val_size: 1\n").data.val_size, 1);
}

/// One mistake makes no second one that goes away with it.
TEST(Mistakes, OfAModelConfigOrStageSayNothingOfTuning) {
  const std::string rest = "datasets: x\noutput_dir: r\n";
  EXPECT_EQ(count(mistakes("model_config: {hiden_size: 8}\nstage: pt\n" + rest)), 1);
  EXPECT_EQ(count(mistakes("model_config: 3.json\nstage: pt\n" + rest, {}, RecipeFiles::unchecked, Kind::data)), 1);
  EXPECT_EQ(count(mistakes("model_cnfig: {hidden_size: 8}\nstage: pt\n" + rest)), 1);
  EXPECT_EQ(count(mistakes("model_config: {hidden_size: 8}\nstage: ptt\n" + rest)), 1);
  EXPECT_EQ(count(mistakes("model_config: {hidden_size: 8}\nstge: pt\n" + rest)), 1);
  EXPECT_EQ(count(mistakes("model_config: {hiden_size: 8}\n" + rest)), 2) << "rows need the key, whatever the model";
  EXPECT_EQ(count(mistakes("model_name_or_path: m\nstage: ptt\n" + rest)), 2);
}

TEST(Mistakes, OfYamlItself) {
  EXPECT_THAT(mistakes(least + "seed: [1, 2\nx: 3\n"), HasSubstr("not YAML"));
  EXPECT_THAT(mistakes("a: 1\n b: 2\n"), HasSubstr("r.yaml:2: not YAML"));
  EXPECT_THAT(mistakes(least + "\tseed: 1\n"), HasSubstr("r.yaml:5: not YAML"));
  EXPECT_THAT(mistakes(least + "---\nseed: 1\n"), HasSubstr("more than one YAML document"));
  EXPECT_THAT(mistakes("seed: \xff\n"), HasSubstr("r.yaml:1: this is not UTF-8"));
  EXPECT_THAT(mistakes(std::string("seed: 1\nx: \0\n", 12)), HasSubstr("r.yaml:2: a zero byte"));
  EXPECT_THAT(mistakes(std::string((1U << 20) + 1, '#')), HasSubstr("more than"));
  EXPECT_THAT(mistakes(std::string(100000, '[')), HasSubstr("r.yaml"));
}

TEST(Mistakes, AliasesThatMultiplyAreBounded) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += (k > 0 ? ", *a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(mistakes(bomb), HasSubstr("more values than a recipe can have"));
  EXPECT_THAT(mistakes("a: &a [*a]\n"), HasSubstr("an alias stands inside the value that it names"));
}

TEST(Mistakes, FilesThatAreNotThere) {
  const test::Folder folder;
  const std::string here = folder.path().string();
  std::ofstream(folder.path() / "text.txt") << "text";
  std::filesystem::create_directory(folder.path() / "empty");
  const std::string text =
      mistakes("model_name_or_path: " + here + "/empty\nfinetuning_type: full\noutput_dir: " + here +
                   "/text.txt\ntokenizer: " + here + "/empty\ndomain_qa: " + here + "/qa.jsonl\ndatasets: [" + here +
                   "/text.txt, " + here + "/*.txt, " + here + "/none, \"" + here +
                   "/*.jsonl\"]\nresume_from_checkpoint: " + here + "/c\n",
               {}, RecipeFiles::checked);
  EXPECT_EQ(count(text), 7) << text;
  EXPECT_THAT(text, AllOf(HasSubstr("holds no config.json"), HasSubstr("a folder without tokenizer.json"),
                          HasSubstr("there is no file `" + here + "/qa.jsonl`"),
                          HasSubstr("there is no file or folder `" + here + "/none`"),
                          HasSubstr("nothing matches `" + here + "/*.jsonl`"), HasSubstr("is a file, not a folder"),
                          HasSubstr("resume_from_checkpoint: there is no")));
  EXPECT_THROW(read_recipe(folder.path() / "none.yaml"), Error);
  EXPECT_THAT(mistakes("model_config: " + here + "/none.json\nstage: pt\ndatasets: x\noutput_dir: r\n", {},
                       RecipeFiles::unchecked, Kind::data),
              HasSubstr("cannot be read"));
  EXPECT_THAT(mistakes("model_config: " + here + "/text.txt\nstage: pt\ndatasets: x\noutput_dir: r\n", {},
                       RecipeFiles::unchecked, Kind::data),
              HasSubstr("is not JSON"));
}

TEST(Mistakes, ModelConfigKeysNearlySpelt) {
  EXPECT_THAT(mistakes("model_config:\n  hiden_size: 8\nstage: pt\ndatasets: x\noutput_dir: r\n"),
              HasSubstr("r.yaml:2: model_config: unknown key `hiden_size`; nearest: hidden_size"));
}

TEST(Mistakes, ModelConfigKeysWithoutEffectAreRefusedAllAtOnce) {
  const std::string rest = "stage: pt\ndatasets: x\noutput_dir: r\n";
  EXPECT_EQ(mistakes("model_config:\n  model_type: llama\n  dropout: 0.5\n  rms_norm_epsilon: 1e-3\n  rope_base: 500\n"
                     "  use_cache: false\n  clip_qkv: null\n" +
                     rest),
            "r.yaml: 3 mistakes\n"
            "r.yaml:3: model_config: unknown key `dropout`; no key that hearth reads is near it\n"
            "r.yaml:4: model_config: unknown key `rms_norm_epsilon`; nearest: rms_norm_eps\n"
            "r.yaml:5: model_config: unknown key `rope_base`; nearest: rope_parameters, rope_scaling or rope_theta");
  EXPECT_THAT(mistakes(least_from_nothing, {"model_config.dropout=0.5"}),
              HasSubstr("--set model_config.dropout=0.5: model_config: unknown key `dropout`"));
  EXPECT_EQ(mistakes("model_config: {model_type: deepseek_v3, n_group: 8}\n" + rest), "")
      << "a model that hearth does not read is refused as that";
}

TEST(Mistakes, KeysOfAConfigFileThatNobodyKnowsAreNotedAndLeftOut) {
  const test::Folder folder;
  const std::string path = (folder.path() / "config.json").string();
  std::ofstream(path)
      << R"({"model_type": "llama", "hidden_size": 8, "clip_qkv": 8, "use_cache": true, "dropout": 0.5})";
  const Recipe recipe = read("model_config: " + path + "\nstage: pt\ndatasets: x\noutput_dir: r\n");
  ASSERT_EQ(recipe.notes.size(), 1U);
  EXPECT_THAT(recipe.notes[0], AllOf(HasSubstr(path), HasSubstr("does not know: clip_qkv, dropout;")));
  EXPECT_EQ(recipe.model.model_config, R"({"hidden_size":8,"model_type":"llama","use_cache":true})");
  EXPECT_EQ(read(resolved_yaml(recipe)), recipe);
}

}  // namespace
}  // namespace hearth
