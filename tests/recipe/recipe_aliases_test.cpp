// Other tools' spellings, and the table itself.
#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "recipe/read.h"
#include "support/shared.h"
#include "trainer/recipe_keys.h"

namespace hearth {
namespace {

using test::least;
using test::least_from_nothing;
using test::mistakes;
using test::read;
using testing::HasSubstr;

TEST(Table, NoSpellingTwice) {
  std::set<std::string> spellings;
  for (const RecipeKey& key : recipe_keys()) {
    EXPECT_TRUE(spellings.insert(key.name).second) << key.name;
    EXPECT_FALSE(key.meaning.empty()) << key.name;
    EXPECT_EQ(key.working(), !key.field.accepts.empty()) << key.name;
    for (const KeyAlias& alias : key.aliases) {
      EXPECT_TRUE(alias.only_in || spellings.insert(alias.spelling).second) << alias.spelling;
    }
  }
}

TEST(Table, IsDescribedWhole) {
  const std::string text = describe_keys();
  for (const RecipeKey& key : recipe_keys()) EXPECT_THAT(text, HasSubstr("  " + key.name + "\n"));
  EXPECT_THAT(text, HasSubstr("default: 1e-08"));
  EXPECT_THAT(text, HasSubstr("also spelt: micro_batch_size, batch_size"));
}

// A spelling of another tool and the canonical statement that it must equal.
TEST(Aliases, EqualTheirCanonicalStatement) {
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"rl: sft", "stage: sft"},
      {"tokenizer: ./t", "tokenizer_name_or_path: ./t"},
      {"val_dataset: v.txt", "eval_dataset: v.txt"},
      {"test_datasets: [v.txt]", "eval_dataset: v.txt"},
      {"dataset_val: v.txt", "eval_dataset: v.txt"},
      {"val_set_size: 0.1", "val_size: 0.1"},
      {"split_dataset_ratio: 0.1", "val_size: 0.1"},
      {"max_length: 64", "cutoff_len: 64"},
      {"sequence_len: 64", "cutoff_len: 64"},
      {"max_seq_length: 64", "cutoff_len: 64"},
      {"max_seq_len: 64", "cutoff_len: 64"},
      {"excess_length_strategy: drop", "overflow: drop"},
      {"truncation_strategy: delete", "overflow: drop"},
      {"truncation_strategy: right", "overflow: truncate"},
      {"truncation_mode: keep_start", "overflow: truncate"},
      {"sample_packing: true", "packing: bfd"},
      {"packed: false", "packing: none"},
      {"neat_packing: true", "packing: bfd"},
      {"packing: true", "packing: bfd"},
      {"packing: false", "packing: none"},
      {"packing_strategy: wrapped", "packing: wrapped"},
      {"completion_only_loss: true", "train_on: {prompt: false}"},
      {"train_on_completions: true", "train_on: {prompt: false}"},
      {"completion_only_loss: false", "train_on: {prompt: true}"},
      {"train_on_completions: false", "train_on: {prompt: true}"},
      {"train_on_inputs: false", "train_on: {prompt: false}"},
      {"train_on_inputs: true", "train_on: {prompt: true}"},
      {"train_on_input: true", "train_on: {prompt: true}"},
      {"train_on_prompt: true", "train_on: {prompt: true}"},
      {"disable_shuffling: true", "shuffle: false"},
      {"disable_shuffling: false", "shuffle: true"},
      {"dataset_shuffle: false", "shuffle: false"},
      {"micro_batch_size: 2", "per_device_train_batch_size: 2"},
      {"batch_size: 2", "per_device_train_batch_size: 2"},
      {"train_batch_size: 2", "global_batch_size: 2"},
      {"lr: 0.5", "learning_rate: 0.5"},
      {"optimizer.lr: 0.5", "learning_rate: 0.5"},
      {"optimizer: {lr: 0.5, betas: [0.8, 0.9], eps: 1e-6, _component_: torch.optim.AdamW}",
       "{learning_rate: 0.5, adam_beta1: 0.8, adam_beta2: 0.9, adam_epsilon: 1e-6}"},
      {"lr_scheduler: linear", "lr_scheduler_type: linear"},
      {"{min_lr: 0.05, learning_rate: 0.5, lr_scheduler: cosine_with_min_lr}",
       "{min_lr_ratio: 0.1, learning_rate: 0.5, lr_scheduler: cosine_with_min_lr}"},
      {"{num_decay_steps: 10, max_steps: 40, lr_scheduler: warmup_stable_decay}",
       "{decay_ratio: 0.25, max_steps: 40, lr_scheduler: warmup_stable_decay}"},
      {"num_warmup_steps: 3", "warmup_steps: 3"},
      {"num_epochs: 2", "num_train_epochs: 2"},
      {"epochs: 2", "num_train_epochs: 2"},
      {"label_smoothing: 0.1", "label_smoothing_factor: 0.1"},
      {"optimizer: adamw_torch_fused", "optim: adamw"},
      {"bf16: true", "dtype: bf16"},
      {"bf16: false", "dtype: f32"},
      {"precision: fp32", "dtype: f32"},
      {"random_seed: 7", "seed: 7"},
      {"tensor_model_parallel_size: 1", "tensor_parallel_size: 1"},
      {"dp_shard_size: 2", "data_shard_size: 2"},
      {"save_every_n_steps: 7", "save_steps: 7"},
      {"auto_resume_from_checkpoints: false", "resume_from_checkpoint: none"},
      {"resume_from_checkpoint: true", "resume_from_checkpoint: auto"},
      {"enable_tensorboard: false", "report_to: none"},
      {"{run_val_every_n_steps: 7, val_size: 2}", "{eval_steps: 7, eval_strategy: steps, val_size: 2}"},
  };
  // Lines are added to the recipe; several keys stand in braces, as the entries of a map.
  const auto lines = [](const std::string& statement) {
    if (!statement.starts_with('{')) return statement + "\n";
    std::string text;
    int depth = 0;
    for (const char letter : statement.substr(1, statement.size() - 2)) {
      depth += letter == '[' || letter == '{' ? 1 : letter == ']' || letter == '}' ? -1 : 0;
      text += depth == 0 && letter == ','                              ? '\n'
              : letter == ' ' && (text.empty() || text.back() == '\n') ? '\0'
                                                                       : letter;
    }
    std::erase(text, '\0');
    return text + "\n";
  };
  for (const auto& [alias, canonical] : pairs) {
    const Recipe meant = read(least + lines(canonical));
    const auto different = differences(meant, read(least + lines(alias)));
    EXPECT_TRUE(different.empty()) << alias << ": " << (different.empty() ? "" : different[0].key);
  }
}

TEST(Aliases, ForRequiredKeys) {
  for (const char* model : {"base_model", "model", "checkpoint_dir"}) {
    for (const char* datasets : {"dataset", "train_dataset", "dataset_name", "pretraining_dataset"}) {
      for (const char* tuning : {"adapter: full", "tuner_type: full", "training_type: full", "use_peft: false"}) {
        EXPECT_EQ(
            read(std::string(model) + ": ./model\n" + datasets + ": ./corpus\n" + tuning + "\nexport_dir: runs/one\n"),
            read(least));
      }
    }
  }
  EXPECT_THAT(mistakes("model: ./m\ndataset: ./c\noutput_dir: r\nuse_peft: true\n"),
              HasSubstr("use_peft: `true` asks"));
}

TEST(Aliases, PackingTrueSuitsTheStage) {
  const Recipe documents = read(least_from_nothing + "sample_packing: true\n");
  EXPECT_EQ(documents.data.packing, Recipe::Packing::wrapped);
  ASSERT_EQ(documents.notes.size(), 1U);
  EXPECT_THAT(documents.notes[0], HasSubstr("documents never see each other"));
}

TEST(ForeignKeys, WithoutEffectAreNoted) {
  const Recipe recipe = read(least +
                             "do_train: true\noverwrite_cache: true\ndataloader_num_workers: 4\n"
                             "preprocessing_num_workers: 16\ndataset_num_proc: 2\ntrust_remote_code: true\n"
                             "ddp_timeout: 180000000\n");
  EXPECT_EQ(recipe.notes.size(), 7U);
  EXPECT_EQ(recipe, read(least));
}

TEST(OwnKeys, WithoutEffectAreNoted) {
  const auto notes = [](const std::string& more) { return read(least + more).notes; };
  EXPECT_THAT(notes("bad_rows_limit: 5\n"), testing::ElementsAre(HasSubstr("bad_rows_limit: 5 has no effect")));
  EXPECT_THAT(notes("bad_rows_limit: 5\nbad_rows: drop\n"), testing::IsEmpty());
  EXPECT_THAT(notes("bad_rows_limit: none\n"), testing::IsEmpty());
  EXPECT_THAT(notes("warmup_steps: 6\nmax_steps: 5\n"),
              testing::ElementsAre(HasSubstr("warmup_steps: 6 is more than the 5 steps of the run")));
  EXPECT_THAT(notes("warmup_steps: 5\nmax_steps: 5\n"), testing::IsEmpty());
}

TEST(ForeignKeys, ARegistryBecomesInlineDatasets) {
  const test::Folder folder;
  const std::string here = folder.path().string();
  std::ofstream(folder.path() / "dataset_info.json")
      << R"({"wiki": {"file_name": "wiki.txt", "columns": {"prompt": "text"}},)"
         R"( "notes": {"file_name": "notes.jsonl", "columns": {"prompt": "body"}, "num_samples": 5},)"
         R"( "chat": {"file_name": "chat.json", "formatting": "sharegpt"}, "hub": {"hf_hub_url": "a/b"}})";
  const std::string head = "model: ./m\nstage: pt\nfinetuning_type: full\noutput_dir: r\ndataset_dir: " + here + "\n";
  const Recipe recipe = read(head + "dataset: wiki, notes\n");
  ASSERT_EQ(recipe.data.datasets.size(), 2U);
  EXPECT_EQ(recipe.data.datasets[0], (Recipe::Dataset{here + "/wiki.txt", Format::text, "", {}, {}}));
  EXPECT_EQ(recipe.data.datasets[1], (Recipe::Dataset{here + "/notes.jsonl", Format::text, "", 5, {{"text", "body"}}}));
  EXPECT_EQ(recipe.notes.size(), 2U);
  EXPECT_THAT(mistakes(head + "dataset: chat\n"), HasSubstr("chat or instruction data"));
  EXPECT_THAT(mistakes(head + "dataset: hub\n"), HasSubstr("hearth downloads nothing"));
  EXPECT_THAT(mistakes(head + "dataset: wikki\n"), HasSubstr("`wikki` is not in"));
  EXPECT_THAT(mistakes(least + "dataset_dir: " + here + "/none\n"), HasSubstr("dataset_dir"));
}

}  // namespace
}  // namespace hearth
