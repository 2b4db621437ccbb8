#include "trainer/recipe_resolve.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace hearth {
namespace {

/// Whether somebody stated a key, even if what it says is wrong or its name misspelt.
bool is_wanted(const RecipeDraft& draft, const std::string& key) {
  const auto stated = draft.stated.find(key);
  return draft.meant.contains(key) || (stated != draft.stated.end() && !stated->second.value.is_null());
}

void complain_missing(RecipeDraft& draft, const std::string& key, const std::string& text) {
  if (!is_wanted(draft, key)) draft.complain(key, text);
}

/// Documents from nothing need no word on it. Where stage or model_config is wrong, what it will say may be that.
void fill_tuning(RecipeDraft& draft) {
  if (draft.has("finetuning_type")) return;
  const bool unread_stage = is_wanted(draft, "stage") && !draft.has("stage");
  const bool documents = draft.recipe.method.stage == Recipe::Stage::pt || unread_stage;
  if (documents && (draft.recipe.from_nothing() || is_wanted(draft, "model_config"))) return;
  complain_missing(draft, "finetuning_type",
                   "finetuning_type is not stated: LoRA, which would be the default, is not there yet; write "
                   "finetuning_type: full to train every weight");
}

void fill_warmup(RecipeDraft& draft, const TaskDefaults& defaults) {
  Recipe::Train& train = draft.recipe.train;
  const bool ratio_stated = draft.has("warmup_ratio") && train.warmup_ratio.has_value();
  if (train.warmup_steps.has_value()) {
    if (ratio_stated) {
      draft.complain("warmup_steps", "warmup_steps and warmup_ratio are both stated; keep one of the two");
    }
    train.warmup_ratio.reset();
  } else if (!ratio_stated) {
    train.warmup_ratio = train.lr_scheduler_type == Recipe::Scheduler::constant ? 0 : defaults.warmup_ratio;
  }
}

void fill_floor(RecipeDraft& draft) {
  Recipe::Train& train = draft.recipe.train;
  if (draft.min_lr) {
    train.min_lr_ratio = *draft.min_lr / train.learning_rate;
    if (train.min_lr_ratio > 1) {
      train.min_lr_ratio = 1;
      draft.complain("min_lr_ratio", fmt::format("min_lr: {} is above the peak of {} (learning_rate)", *draft.min_lr,
                                                 train.learning_rate));
    }
  }
  if (!draft.num_decay_steps) return;
  if (!train.max_steps) {
    draft.complain("decay_ratio", "num_decay_steps: needs max_steps to become a share; state max_steps or decay_ratio");
  } else if (*draft.num_decay_steps > *train.max_steps) {
    draft.complain("decay_ratio", fmt::format("num_decay_steps: {} is more than max_steps, {}", *draft.num_decay_steps,
                                              *train.max_steps));
  } else {
    train.decay_ratio = static_cast<double>(*draft.num_decay_steps) / static_cast<double>(*train.max_steps);
  }
}

void fill_data(RecipeDraft& draft) {
  Recipe& recipe = draft.recipe;
  const bool documents = recipe.method.stage == Recipe::Stage::pt;
  if (!draft.has("packing") && documents) recipe.data.packing = Recipe::Packing::wrapped;
  if (!draft.has("overflow") && documents) recipe.data.overflow = Recipe::Overflow::split;
  if (recipe.data.datasets.empty()) {
    complain_missing(draft, "datasets", "datasets is missing: name the files or folders to train on");
  }
  if (recipe.output.output_dir.empty()) {
    complain_missing(draft, "output_dir", "output_dir is missing: name the folder of this run");
  } else if (!draft.has("cache_dir")) {
    const Path run = recipe.output.output_dir;
    const bool named = run.has_filename() && run.filename() != ".." && run != ".";
    recipe.data.cache_dir = (named ? run.parent_path() / ".hearth-cache" : plain(run / "../.hearth-cache")).string();
  }
}

/// One place is one text, however it was spelt: messages, the echo and the question whether a run may go on need no more.
void write_paths_plainly(Recipe& recipe) {
  const auto write = [](std::string& text) { text = plain(text).string(); };
  if (recipe.model.model_name_or_path) write(*recipe.model.model_name_or_path);
  if (recipe.model.tokenizer_name_or_path) write(*recipe.model.tokenizer_name_or_path);
  for (Recipe::Dataset& dataset : recipe.data.datasets) write(dataset.path);
  for (Recipe::Dataset& dataset : recipe.data.eval_dataset) write(dataset.path);
  if (recipe.eval.domain_qa) write(recipe.eval.domain_qa->path);
  write(recipe.data.cache_dir);
  write(recipe.output.output_dir);
  write(recipe.output.resume_from_checkpoint);
}

void check_model(RecipeDraft& draft) {
  const Recipe::Model& model = draft.recipe.model;
  const bool folder = model.model_name_or_path.has_value();
  if (folder && model.model_config) {
    draft.complain("model_config",
                   "model_config and model_name_or_path are both stated; fresh weights or a model to go "
                   "on from, not both");
  } else if (!folder && !model.model_config && !is_wanted(draft, "model_config")) {
    complain_missing(draft, "model_name_or_path",
                     "model_name_or_path is missing: name a model's folder, or state model_config for fresh weights");
  }
  if (folder && !model.model_config) {
    for (const char* key : {"init", "initializer_range", "tokenizer_vocab_size"}) {
      if (draft.has(key)) {
        draft.complain(key, fmt::format("{}: has a meaning only for fresh weights (model_config), not for the model in "
                                        "{}; remove it",
                                        key, *model.model_name_or_path));
      }
    }
  }
  if (model.initializer_range && model.init == Recipe::Init::xavier) {
    draft.complain("initializer_range",
                   "initializer_range: init: xavier derives its own spread; remove one of the two");
  }
}

void check_vocabulary(RecipeDraft& draft) {
  const Recipe::Model& model = draft.recipe.model;
  if (!model.tokenizer_vocab_size) return;
  if (model.tokenizer_name_or_path) {
    draft.complain("tokenizer_vocab_size",
                   "tokenizer_vocab_size trains a vocabulary and tokenizer_name_or_path names "
                   "one; remove one of the two");
  }
  if (!model.model_config) return;
  const auto config = nlohmann::json::parse(*model.model_config);
  const auto size = config.find("vocab_size");
  if (size != config.end() && size->is_number_integer() && size->get<std::int64_t>() < *model.tokenizer_vocab_size) {
    draft.complain("tokenizer_vocab_size", fmt::format("tokenizer_vocab_size: {} is more than model_config.vocab_size, "
                                                       "{}",
                                                       *model.tokenizer_vocab_size, size->get<std::int64_t>()));
  }
}

void check_schedule(RecipeDraft& draft) {
  const Recipe::Train& train = draft.recipe.train;
  const bool decays_late = train.lr_scheduler_type == Recipe::Scheduler::warmup_stable_decay;
  const bool has_floor = decays_late || train.lr_scheduler_type == Recipe::Scheduler::cosine_with_min_lr;
  if (train.min_lr_ratio > 0 && !has_floor) {
    draft.complain("min_lr_ratio",
                   "min_lr_ratio: only lr_scheduler_type: cosine_with_min_lr and warmup_stable_decay "
                   "have a floor; state one of them or remove it");
  }
  if (draft.has("decay_ratio") && !decays_late) {
    draft.complain("decay_ratio",
                   "decay_ratio: only lr_scheduler_type: warmup_stable_decay has it; state that or remove "
                   "it");
  }
  if (decays_late && train.warmup_ratio.value_or(0) + train.decay_ratio > 1) {
    draft.complain("decay_ratio", fmt::format("decay_ratio: {} and a warmup_ratio of {} are more than the whole run",
                                              train.decay_ratio, *train.warmup_ratio));
  }
}

void check_batch(RecipeDraft& draft) {
  const Recipe::Train& train = draft.recipe.train;
  if (!train.global_batch_size) return;
  const std::int64_t rows = train.per_device_train_batch_size * train.gradient_accumulation_steps.value_or(1);
  if (*train.global_batch_size % rows == 0) return;
  draft.complain("global_batch_size",
                 fmt::format("global_batch_size: {} is no multiple of the {} rows that per_device_train_batch_size "
                             "({}) x gradient_accumulation_steps ({}) make",
                             *train.global_batch_size, rows, train.per_device_train_batch_size,
                             train.gradient_accumulation_steps.value_or(1)));
}

/// Whether a key was stated on the command line (and there alone, since that replaces what the file says).
bool is_overridden(const RecipeDraft& draft, const std::string& key) {
  const auto stated = draft.stated.find(key);
  return stated != draft.stated.end() && stated->second.line < 0;
}

/// `--set eval_strategy=no` replaces what the file says of evaluation, its interval too.
void turn_off_evaluation(RecipeDraft& draft) {
  Recipe& recipe = draft.recipe;
  if (recipe.eval.eval_strategy != Recipe::EvalStrategy::no || !recipe.eval.eval_steps) return;
  if (!is_overridden(draft, "eval_strategy") || is_overridden(draft, "eval_steps")) return;
  draft.note(fmt::format("eval_strategy: no, so eval_steps: {} of the recipe has no effect", *recipe.eval.eval_steps));
  recipe.eval.eval_steps.reset();
  recipe.stated_as.erase("eval_steps");
}

void check_evaluation(RecipeDraft& draft) {
  Recipe& recipe = draft.recipe;
  Recipe::Eval& eval = recipe.eval;
  if (draft.has("eval_strategy")) turn_off_evaluation(draft);
  if (eval.eval_steps && !draft.has("eval_strategy")) eval.eval_strategy = Recipe::EvalStrategy::steps;
  const bool by_steps = eval.eval_strategy == Recipe::EvalStrategy::steps;
  if (eval.eval_steps && !by_steps) {
    draft.complain("eval_steps",
                   "eval_steps: eval_strategy: no asks for no evaluation during the run; remove one of the "
                   "two");
  }
  if (!by_steps) return;
  if (!eval.eval_steps) complain_missing(draft, "eval_steps", "eval_strategy: steps needs eval_steps");
  if (recipe.data.eval_dataset.empty() && recipe.data.val_size == 0 && !eval.domain_qa) {
    complain_missing(draft, "eval_dataset",
                     "eval_strategy: steps has nothing to measure; state eval_dataset, val_size or domain_qa");
  }
}

/// Keys of the mesh that change nothing there. No refusal: they wait for another size or stage (see docs/plan.md).
void note_idle_keys(RecipeDraft& draft) {
  const Recipe::Parallel& parallel = draft.recipe.parallel;
  if (draft.has("data_shard_size") && parallel.data_shard_size && parallel.zero_stage == 0) {
    draft.note(fmt::format("data_shard_size: {} has no effect with zero_stage: 0, which cuts nothing into shards",
                           *parallel.data_shard_size));
  }
  if (parallel.pipeline_parallel_size > 1) return;
  const auto note = [&](const char* key) {
    draft.note(
        fmt::format("{} has no effect with pipeline_parallel_size: 1, as one stage has nothing to schedule", key));
  };
  // What one stage does anyway is not ignored: 1f1b, in one chunk.
  if (parallel.pipeline_schedule != Recipe::PipelineSchedule::one_forward_one_backward) note("pipeline_schedule");
  if (parallel.pipeline_chunks.value_or(1) > 1) note("pipeline_chunks");
}

/// Keys that mean nothing beside what else is stated.
void note_without_effect(RecipeDraft& draft) {
  const Recipe& recipe = draft.recipe;
  const Recipe::Train& train = recipe.train;
  if (recipe.data.bad_rows_limit && recipe.data.bad_rows == Recipe::BadRows::error) {
    draft.note(
        fmt::format("bad_rows_limit: {} has no effect: it bounds what bad_rows: drop leaves out, and without that "
                    "any bad row ends the run",
                    *recipe.data.bad_rows_limit));
  }
  if (train.max_steps && train.warmup_steps.value_or(0) > *train.max_steps) {
    draft.note(warmup_beyond(*train.warmup_steps, *train.max_steps));
  }
}

void note_doubts(RecipeDraft& draft) {
  const Recipe& recipe = draft.recipe;
  if (recipe.output.save_steps > 1000) {
    draft.note(fmt::format("save_steps: {} is above 1000; a crash may cost that many steps", recipe.output.save_steps));
  }
  if (recipe.output.save_only_model) draft.note("save_only_model: checkpoints of this run cannot be continued");
  if (recipe.train.max_grad_norm == 0) draft.note("max_grad_norm: 0 turns clipping off");
  if (recipe.method.stage == Recipe::Stage::sft && recipe.from_nothing() && !draft.has("learning_rate")) {
    draft.note(
        fmt::format("learning_rate: the default of sft, {}, is meant for a trained model; fresh weights want a "
                    "larger one",
                    recipe.train.learning_rate));
  }
}

}  // namespace

std::string warmup_beyond(std::int64_t warmup_steps, std::int64_t steps) {
  return fmt::format(
      "warmup_steps: {} is more than the {} steps of the run, which ends before the rate reaches "
      "learning_rate",
      warmup_steps, steps);
}

TaskDefaults task_defaults(Recipe::Stage stage, bool from_nothing) {
  if (stage == Recipe::Stage::sft) return {1e-5, 3, 0, 0.1};
  if (from_nothing) return {1e-3, 1, 0.1, 0.02};
  return {5e-6, 1, 0.01, 0.05};
}

void fill_in(RecipeDraft& draft) {
  Recipe::Train& train = draft.recipe.train;
  const TaskDefaults defaults = task_defaults(draft.recipe.method.stage, draft.recipe.from_nothing());
  if (!draft.has("learning_rate")) train.learning_rate = defaults.learning_rate;
  if (!draft.has("num_train_epochs")) train.num_train_epochs = defaults.num_train_epochs;
  if (!draft.has("weight_decay")) train.weight_decay = defaults.weight_decay;
  if (train.global_batch_size && !draft.has("gradient_accumulation_steps")) train.gradient_accumulation_steps.reset();
  write_paths_plainly(draft.recipe);
  fill_tuning(draft);
  fill_warmup(draft, defaults);
  fill_floor(draft);
  fill_data(draft);
}

void check_together(RecipeDraft& draft) {
  check_model(draft);
  check_vocabulary(draft);
  check_schedule(draft);
  check_batch(draft);
  check_evaluation(draft);
  note_without_effect(draft);
  note_doubts(draft);
  note_idle_keys(draft);
}

}  // namespace hearth
