// Values, defaults, sections, overrides.
#include <gmock/gmock.h>

#include "recipe/read.h"
#include "trainer/recipe_resolve.h"

namespace hearth {
namespace {

using test::least;
using test::least_from_nothing;
using test::mistakes;
using test::read;
using testing::HasSubstr;

// Every default of the reference that a key table states, not taken from the code: a changed default fails here.
/// What the command line says stands, and what of the file has no effect then is said.
TEST(Recipes, TheCommandLineTurnsEvaluationOff) {
  for (const char* off : {"eval_strategy=no", "eval_strategy=false", "eval.eval_strategy=no"}) {
    for (const char* file :
         {"eval_steps: 3\nval_size: 2\n", "eval_strategy: steps\nrun_val_every_n_steps: 3\nval_size: 2\n"}) {
      const Recipe recipe = read(least + file, {off});
      EXPECT_EQ(recipe.eval.eval_strategy, Recipe::EvalStrategy::no);
      EXPECT_EQ(recipe.eval.eval_steps, std::nullopt);
      EXPECT_THAT(recipe.notes, testing::Contains(testing::HasSubstr("eval_steps: 3 of the recipe has no effect")));
      EXPECT_TRUE(parse_recipe(resolved_yaml(recipe), "echo", {}, RecipeFiles::unchecked) == recipe);
    }
  }
  EXPECT_TRUE(read(least + "val_size: 2\n", {"eval_strategy=no"}).notes.empty());
}

TEST(Defaults, OfTheTable) {
  const Recipe recipe = read(least);
  EXPECT_EQ(recipe.method.stage, Recipe::Stage::sft);
  EXPECT_EQ(recipe.data.val_size, 0);
  EXPECT_EQ(recipe.data.cache_dir, "runs/.hearth-cache");
  EXPECT_EQ(recipe.data.cutoff_len, std::nullopt);
  EXPECT_EQ(recipe.data.overflow, Recipe::Overflow::raise);
  EXPECT_EQ(recipe.data.packing, Recipe::Packing::bfd);
  EXPECT_FALSE(recipe.data.train_on.prompt);
  EXPECT_EQ(recipe.data.max_samples, std::nullopt);
  EXPECT_TRUE(recipe.data.shuffle);
  EXPECT_EQ(recipe.train.per_device_train_batch_size, 1);
  EXPECT_EQ(recipe.train.gradient_accumulation_steps, 1);
  EXPECT_EQ(recipe.train.global_batch_size, std::nullopt);
  EXPECT_EQ(recipe.train.lr_scheduler_type, Recipe::Scheduler::cosine);
  EXPECT_EQ(recipe.train.min_lr_ratio, 0);
  EXPECT_EQ(recipe.train.decay_ratio, 0.2);
  EXPECT_EQ(recipe.train.max_steps, std::nullopt);
  EXPECT_EQ(recipe.train.adam_beta1, 0.9);
  EXPECT_EQ(recipe.train.adam_beta2, 0.95);
  EXPECT_EQ(recipe.train.adam_epsilon, 1e-8);
  EXPECT_EQ(recipe.train.label_smoothing_factor, 0);
  EXPECT_EQ(recipe.train.max_grad_norm, 1.0);
  EXPECT_EQ(recipe.train.optim, Recipe::Optimizer::adamw);
  EXPECT_EQ(recipe.train.dtype, Dtype::bf16);
  EXPECT_EQ(recipe.train.sum_order, Recipe::SumOrder::fixed);
  EXPECT_EQ(recipe.train.on_spike, Recipe::OnSpike::stop);
  EXPECT_EQ(recipe.train.gradient_checkpointing, 0);
  EXPECT_EQ(recipe.train.seed, 42);
  EXPECT_EQ(recipe.parallel.tensor_parallel_size, 1);
  EXPECT_EQ(recipe.parallel.pipeline_parallel_size, 1);
  EXPECT_EQ(recipe.parallel.expert_parallel_size, 1);
  EXPECT_EQ(recipe.parallel.context_parallel_size, 1);
  EXPECT_EQ(recipe.parallel.zero_stage, std::nullopt);
  EXPECT_EQ(recipe.output.logging_steps, 10);
  EXPECT_EQ(recipe.output.save_steps, 500);
  EXPECT_EQ(recipe.output.save_every_minutes, std::nullopt);
  EXPECT_EQ(recipe.output.save_total_limit, std::nullopt);
  EXPECT_FALSE(recipe.output.save_only_model);
  EXPECT_EQ(recipe.output.resume_from_checkpoint, "auto");
  EXPECT_EQ(recipe.output.report_to, Recipe::ReportTo::none);
  EXPECT_TRUE(recipe.output.plot_loss);
  EXPECT_EQ(recipe.eval.eval_strategy, Recipe::EvalStrategy::no);
}

TEST(Defaults, ByTask) {
  const Recipe sft = read(least);
  EXPECT_EQ(sft.train.learning_rate, 1e-5);
  EXPECT_EQ(sft.train.num_train_epochs, 3);
  EXPECT_EQ(sft.train.weight_decay, 0);
  EXPECT_EQ(sft.train.warmup_ratio, 0.1);

  const Recipe nothing = read(least_from_nothing);
  EXPECT_EQ(nothing.train.learning_rate, 1e-3);
  EXPECT_EQ(nothing.train.num_train_epochs, 1);
  EXPECT_EQ(nothing.train.weight_decay, 0.1);
  EXPECT_EQ(nothing.train.warmup_ratio, 0.02);
  EXPECT_EQ(nothing.data.packing, Recipe::Packing::wrapped);
  EXPECT_EQ(nothing.data.overflow, Recipe::Overflow::split);

  const Recipe continued = read(least + "stage: pt\n");
  EXPECT_EQ(continued.train.learning_rate, 5e-6);
  EXPECT_EQ(continued.train.num_train_epochs, 1);
  EXPECT_EQ(continued.train.weight_decay, 0.01);
  EXPECT_EQ(continued.train.warmup_ratio, 0.05);
}

// An empty Recipe holds the defaults of sft: the fields' initial values and the tasks' table must not drift apart.
TEST(Defaults, OfTheStructAreThoseOfSft) {
  const TaskDefaults sft = task_defaults(Recipe::Stage::sft, false);
  const Recipe::Train train;
  EXPECT_EQ(train.learning_rate, sft.learning_rate);
  EXPECT_EQ(train.num_train_epochs, sft.num_train_epochs);
  EXPECT_EQ(train.weight_decay, sft.weight_decay);
  EXPECT_EQ(train.warmup_ratio, sft.warmup_ratio);
}

TEST(Warmup, ConstantWarmsUpOnlyWhenAsked) {
  EXPECT_EQ(read(least + "lr_scheduler_type: constant\n").train.warmup_ratio, 0.0);
  EXPECT_EQ(read(least + "lr_scheduler_type: constant\nwarmup_ratio: 0.3\n").train.warmup_ratio, 0.3);
  EXPECT_EQ(read(least + "lr_scheduler_type: constant_with_warmup\n").train.warmup_ratio, 0.1);
  const Recipe steps = read(least + "lr_scheduler_type: constant\nwarmup_steps: 7\n");
  EXPECT_EQ(steps.train.warmup_steps, 7);
  EXPECT_EQ(steps.train.warmup_ratio, std::nullopt);
}

TEST(Sections, FlatNestedAndMixedReadTheSame) {
  const Recipe nested = read(
      "model: {model_name_or_path: ./model}\nmethod:\n  finetuning_type: full\ndata:\n  datasets: ./corpus\n"
      "output: {output_dir: runs/one}\ntrain:\n  seed: 7\n");
  EXPECT_EQ(nested, read(least + "seed: 7\n"));
  EXPECT_EQ(nested, read(least + "train:\n  seed: 7\n"));
  EXPECT_EQ(nested, read(least + "train:\n  seed: 7\neval:\nprivacy:\n"));
  EXPECT_FALSE(nested == read(least + "seed: 8\n"));
}

TEST(Sections, TheWordModelIsASectionOrAPath) {
  EXPECT_EQ(read("model: ./model\nfinetuning_type: full\ndatasets: ./corpus\noutput_dir: runs/one\n"), read(least));
}

TEST(Values, Datasets) {
  EXPECT_EQ(read(least).data.datasets, (std::vector<Recipe::Dataset>{{"corpus", {}, "", {}, {}}}));
  const Recipe recipe = read(
      "model_name_or_path: ./model\nfinetuning_type: full\noutput_dir: runs/one\n"
      "datasets:\n  - ./a.txt\n  - {path: b/*.jsonl, format: prompt_completion, max_samples: 10, split: train,"
      " weight: 1, columns: {prompt: question, response: answer}}\n  - c.jsonl#25\n");
  ASSERT_EQ(recipe.data.datasets.size(), 3U);
  EXPECT_EQ(recipe.data.datasets[0].path, "a.txt");
  EXPECT_EQ(recipe.data.datasets[1].path, "b/*.jsonl");
  EXPECT_EQ(recipe.data.datasets[1].format, Format::prompt_completion);
  EXPECT_EQ(recipe.data.datasets[1].split, "train");
  EXPECT_EQ(recipe.data.datasets[1].max_samples, 10);
  EXPECT_EQ(recipe.data.datasets[1].columns,
            (std::map<std::string, std::string>{{"prompt", "question"}, {"completion", "answer"}}));
  EXPECT_EQ(recipe.data.datasets[2].path, "c.jsonl");
  EXPECT_EQ(recipe.data.datasets[2].max_samples, 25);
}

TEST(Values, OnePlaceIsOneTextHoweverItIsSpelt) {
  const std::string rest = "finetuning_type: full\nstage: sft\n";
  const Recipe plainly = read(rest +
                              "model: m/step-3\ntokenizer: t\ndatasets: [a/b, {path: c}]\neval_dataset: d\n"
                              "domain_qa: q\noutput_dir: runs/x\nresume_from_checkpoint: runs/y/step-2\n");
  const Recipe oddly =
      read(rest +
           "model: ./m//step-3/\ntokenizer: t/.\ndatasets: [a/./b/, {path: .//c}]\neval_dataset: ./d/\n"
           "domain_qa: ./q\noutput_dir: ./runs/x/\nresume_from_checkpoint: runs/y//step-2/\n");
  EXPECT_TRUE(plainly == oddly) << resolved_yaml(plainly) << resolved_yaml(oddly);
  EXPECT_EQ(oddly.data.cache_dir, "runs/.hearth-cache");
  EXPECT_EQ(oddly.model.model_name_or_path, "m/step-3");
  EXPECT_EQ(read(rest + "model: /m\ndatasets: c\noutput_dir: .\n").data.cache_dir, "../.hearth-cache");
}

TEST(Values, ModelConfigIsTypedAsYamlIs) {
  const Recipe recipe = read(
      "stage: pt\ndatasets: ./corpus\noutput_dir: r\nmodel_config:\n  model_type: llama\n  hidden_size: 64\n"
      "  rms_norm_eps: 1e-6\n  tie_word_embeddings: true\n  rope_scaling: {rope_type: linear, factor: 2.0}\n"
      "  architectures: [LlamaForCausalLM]\n  sliding_window: null\n");
  EXPECT_EQ(recipe.model.model_config,
            R"({"architectures":["LlamaForCausalLM"],"hidden_size":64,"model_type":"llama","rms_norm_eps":1e-06,)"
            R"("rope_scaling":{"factor":2.0,"rope_type":"linear"},"sliding_window":null,"tie_word_embeddings":true})");
}

TEST(Values, NumbersFlagsAndNone) {
  const Recipe recipe = read(least +
                             "learning_rate: \"3e-4\"\nmax_steps: -1\nshuffle: No\ncutoff_len: none\n"
                             "save_every_minutes: 2.5\ngradient_checkpointing: 3\nval_size: 0.25\nzero_stage: 2\n");
  EXPECT_EQ(recipe.train.learning_rate, 3e-4);
  EXPECT_EQ(recipe.train.max_steps, std::nullopt);
  EXPECT_FALSE(recipe.data.shuffle);
  EXPECT_EQ(recipe.data.cutoff_len, std::nullopt);
  EXPECT_EQ(recipe.output.save_every_minutes, 2.5);
  EXPECT_EQ(recipe.train.gradient_checkpointing, 3);
  EXPECT_EQ(recipe.data.val_size, 0.25);
  EXPECT_EQ(recipe.parallel.zero_stage, 2);
  EXPECT_EQ(read(least + "max_steps: 0\n").train.max_steps, std::nullopt);
  EXPECT_EQ(read(least + "learning_rate:\n").train.learning_rate, 1e-5) << "nothing behind the colon is the default";
}

TEST(Values, Questions) {
  EXPECT_EQ(read(least + "domain_qa: qa.jsonl\n").eval.domain_qa, (Recipe::Questions{"qa.jsonl", 32}));
  EXPECT_EQ(read(least + "domain_qa: {path: qa.jsonl, max_new_tokens: 9}\n").eval.domain_qa,
            (Recipe::Questions{"qa.jsonl", 9}));
}

TEST(Values, AnchorsStandForTheirValue) {
  EXPECT_EQ(read(least + "seed: &n 9\nlogging_steps: *n\n").output.logging_steps, 9);
}

TEST(Overrides, ReplaceAndReachIntoMaps) {
  EXPECT_EQ(read(least + "lr: 3\n", {"learning_rate=0.5"}).train.learning_rate, 0.5);
  EXPECT_EQ(read(least, {"train.lr=0.5", "seed=3"}).train.learning_rate, 0.5);
  EXPECT_EQ(read(least, {"optimizer.lr=0.25"}).train.learning_rate, 0.25);
  const std::string betas = least + "optimizer.betas: [0.8, 0.99]\n";
  EXPECT_EQ(read(betas, {"adam_beta1=0.7"}).train.adam_beta2, 0.99) << "of two keys one is replaced";
  EXPECT_EQ(read(betas, {"adam_beta2=0.7"}).train.adam_beta2, 0.7);
  EXPECT_EQ(read(betas, {"optimizer.betas.1=0.6"}).train.adam_beta2, 0.6);
  EXPECT_EQ(read(betas, {"adam_beta2=0.7"}).train.adam_beta1, 0.8);
  EXPECT_EQ(read(least, {"model=./other"}).model.model_name_or_path, "other");
  EXPECT_EQ(read(least, {"datasets=[x.txt, y.txt]"}).data.datasets.size(), 2U);
  EXPECT_EQ(read(least, {"datasets=[{path: x.txt}]", "datasets.0.path=z.txt"}).data.datasets[0].path, "z.txt");
  EXPECT_EQ(read(least_from_nothing, {"model.model_config.hidden_size=32"}).model.model_config,
            R"({"hidden_size":32,"model_type":"llama"})");
  EXPECT_EQ(read(least, {"domain_qa.path=q.jsonl"}).eval.domain_qa->path, "q.jsonl");
  EXPECT_EQ(read(least + "model_config: {hidden_size: 8}\n", {"model_name_or_path=none", "stage=pt"})
                .model.model_name_or_path,
            std::nullopt);
}

TEST(Overrides, MistakesNameTheOverride) {
  EXPECT_EQ(mistakes(least, {"train.sede=3"}),
            "--set train.sede=3: unknown key `sede` in section train; nearest: `seed` (section train)");
  EXPECT_THAT(mistakes(least, {"seed"}), HasSubstr("--set seed: an override is written key=value"));
  EXPECT_THAT(mistakes(least, {"seed=1", "seed=2"}), HasSubstr("overridden already"));
  EXPECT_THAT(mistakes(least, {"seed=[1"}), HasSubstr("--set seed=[1: not YAML"));
  EXPECT_THAT(mistakes(least, {"seed.x=1"}), HasSubstr("--set seed.x=1"));
  EXPECT_THAT(mistakes(least, {"datasets.3.path=1"}), HasSubstr("does not lead to a place in datasets"));
}

TEST(Rows, OfTheFirstStart) {
  const StepRows alone = rows_of_first_start(read(least + "batch_size: 3\ngradient_accumulation_steps: 2\n"), 4);
  EXPECT_EQ(alone.rows, 24);
  EXPECT_EQ(alone.microbatch, 3);
  EXPECT_EQ(alone.microbatches, 8);
  const Recipe global = read(least + "batch_size: 3\nglobal_batch_size: 12\n");
  EXPECT_EQ(global.train.gradient_accumulation_steps, std::nullopt);
  EXPECT_EQ(rows_of_first_start(global, 3).microbatches, 4);  // however 3 ranks share 4
  const Recipe both = read(least + "batch_size: 3\ngradient_accumulation_steps: 2\nglobal_batch_size: 12\n");
  EXPECT_EQ(rows_of_first_start(both, 2).microbatches, 4);
  EXPECT_THROW(rows_of_first_start(both, 1), Error);
}

}  // namespace
}  // namespace hearth
