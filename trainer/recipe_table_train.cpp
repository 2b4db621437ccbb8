// The keys of the sections train and parallel. A new key is one row here and one field in recipe.h.
#include <algorithm>

#include "trainer/recipe_fields.h"
#include "trainer/recipe_resolve.h"

namespace hearth {
namespace {

using Key = RecipeKey;
using Train = Recipe::Train;
using Parallel = Recipe::Parallel;
constexpr auto train = RecipeSection::train;
constexpr auto parallel = RecipeSection::parallel;

FieldReading scheduler() {
  using Scheduler = Recipe::Scheduler;
  return one_of(at(&Recipe::train, &Train::lr_scheduler_type),
                {{"cosine", Scheduler::cosine},
                 {"cosine_with_min_lr", Scheduler::cosine_with_min_lr},
                 {"linear", Scheduler::linear},
                 {"constant", Scheduler::constant},
                 {"constant_with_warmup", Scheduler::constant_with_warmup},
                 {"warmup_stable_decay", Scheduler::warmup_stable_decay}});
}

FieldReading optimizer() {
  const auto adamw = Recipe::Optimizer::adamw;
  const std::string eight = "keeps its moments in 8 bits, which this version does not do";
  return one_of(at(&Recipe::train, &Train::optim),
                {{"adamw", adamw}, {"adamw_torch", adamw}, {"adamw_torch_fused", adamw}, {"torch.optim.AdamW", adamw}},
                {{"adamw_8bit", eight}, {"adamw_bnb_8bit", eight}, {"paged_adamw_8bit", eight}});
}

const std::string no_half = "is a dtype that this version does not have yet";

FieldReading dtype() {
  return one_of(at(&Recipe::train, &Train::dtype),
                {{"f32", Dtype::f32},
                 {"bf16", Dtype::bf16},
                 {"fp32", Dtype::f32},
                 {"float32", Dtype::f32},
                 {"bfloat16", Dtype::bf16}},
                {{"fp16", no_half}, {"f16", no_half}, {"float16", no_half}});
}

/// bf16: true or false; AX also auto.
bool bf16(RecipeDraft& draft, const Statement& statement) {
  const auto value = statement.value.text == "auto" ? std::optional(true) : as_flag(statement.value);
  if (!value) return refuse_value(draft, statement, flag_words);
  draft.recipe.train.dtype = *value ? Dtype::bf16 : Dtype::f32;
  return true;
}

/// max_steps: -1 and 0 mean none, as elsewhere.
FieldReading max_steps() {
  const auto field = at(&Recipe::train, &Train::max_steps);
  FieldReading reading = whole(field, -1);
  reading.accepts = "a whole number of steps (0, -1 or none: as the epochs say)";
  reading.read = [field, read = reading.read](RecipeDraft& draft, const Statement& statement) {
    if (!read(draft, statement)) return false;
    if (field.in(draft.recipe).value_or(0) < 1) field.in(draft.recipe) = std::nullopt;
    return true;
  };
  return reading;
}

/// A floor as a rate; a ratio once the peak is known.
bool min_lr(RecipeDraft& draft, const Statement& statement) {
  draft.min_lr = as_number(statement.value);
  const NumberRange range{0};
  if (draft.min_lr && range.holds(*draft.min_lr)) return true;
  draft.min_lr.reset();
  return refuse_value(draft, statement, range.words());
}

bool num_decay_steps(RecipeDraft& draft, const Statement& statement) {
  draft.num_decay_steps = as_whole(statement.value);
  if (draft.num_decay_steps && *draft.num_decay_steps >= 0) return true;
  draft.num_decay_steps.reset();
  return refuse_value(draft, statement, "a whole number of at least 0");
}

/// optimizer.betas: the item of one of its two keys. Both look at the whole value; what is wrong with it is said once.
ReadKey beta(std::size_t item, double Train::*field) {
  return [item, field](RecipeDraft& draft, const Statement& statement) {
    const NumberRange range{0, true, 1};
    const auto& items = statement.value.items;
    const auto right = [&](const YamlValue& value) { return range.holds(as_number(value).value_or(-1)); };
    if (items.size() == 2 && right(items[0]) && right(items[1])) {
      draft.recipe.train.*field = *as_number(items[item]);
      return true;
    }
    const Mistakes before = draft.mistakes;
    refuse_value(draft, statement, "a list of two numbers, each " + range.words());
    const auto same = [&](const Mistake& one) {
      return one.line == statement.value.line && one.text == draft.mistakes.back().text;
    };
    if (std::any_of(before.begin(), before.end(), same)) draft.mistakes = before;
    return false;
  };
}

std::string by_task(double TaskDefaults::*value) {
  return fmt::format("by task: sft {}, pt from nothing {}, pt from a model {}",
                     task_defaults(Recipe::Stage::sft, false).*value, task_defaults(Recipe::Stage::pt, true).*value,
                     task_defaults(Recipe::Stage::pt, false).*value);
}

/// Written where it means something: elsewhere, stating it is a mistake.
FieldReading decay_ratio() {
  FieldReading reading = number(at(&Recipe::train, &Train::decay_ratio), {0, true, 1, true});
  reading.write = [write = reading.write](const Recipe& recipe) {
    const bool used = recipe.train.lr_scheduler_type == Recipe::Scheduler::warmup_stable_decay;
    return used ? write(recipe) : std::nullopt;
  };
  return reading;
}

FieldReading recompute() {
  const auto field = at(&Recipe::train, &Train::gradient_checkpointing);
  const std::string accepts = "false, true (every layer) or k (every k-th layer)";
  ReadKey read = [field, accepts](RecipeDraft& draft, const Statement& statement) {
    if (statement.value.is_scalar() && statement.value.text == "auto") {
      draft.complain(statement.value.line, fmt::format("{}: `auto` needs a memory plan, which this version does not "
                                                       "have yet; accepted: {}",
                                                       statement.spelling, accepts));
      return false;
    }
    const auto wanted = as_flag(statement.value);
    const auto every = wanted ? std::optional<std::int64_t>(*wanted ? 1 : 0) : as_whole(statement.value);
    if (!every || *every < 0) return refuse_value(draft, statement, accepts);
    field.in(draft.recipe) = *every;
    return true;
  };
  return {accepts, read, written(field, [](std::int64_t every) {
            return every == 0 ? std::string("false") : every == 1 ? std::string("true") : fmt::format("{}", every);
          })};
}

/// The expert axis: understood, and refused when larger than one.
FieldReading expert_axis() {
  const auto field = at(&Recipe::parallel, &Parallel::expert_parallel_size);
  FieldReading reading = whole(field, 1);
  reading.accepts = "1 (there are no mixtures of experts yet)";
  reading.read = [field, read = reading.read](RecipeDraft& draft, const Statement& statement) {
    if (!read(draft, statement)) return false;
    if (field.in(draft.recipe) == 1) return true;
    draft.complain(statement.value.line,
                   fmt::format("{}: {} asks for an expert axis larger than one, which this version does not have yet; "
                               "leave it at 1",
                               statement.spelling, statement.value.shown()));
    return false;
  };
  return reading;
}

std::vector<RecipeKey> parallel_keys() {
  return {
      {parallel,
       "tensor_parallel_size",
       {"tensor_model_parallel_size", "tensor_parallel_dim"},
       whole(at(&Recipe::parallel, &Parallel::tensor_parallel_size), 1, 1 << 20),
       "ranks that share every matrix",
       "",
       Key::Change::free},
      {parallel,
       "pipeline_parallel_size",
       {"pipeline_model_parallel_size"},
       whole(at(&Recipe::parallel, &Parallel::pipeline_parallel_size), 1, 1 << 20),
       "ranks that share the blocks",
       "",
       Key::Change::free},
      {parallel, "expert_parallel_size", {"expert_model_parallel_size"}, expert_axis(), "ranks that share the experts"},
      {parallel,
       "context_parallel_size",
       {},
       whole(at(&Recipe::parallel, &Parallel::context_parallel_size), 1, 1 << 20),
       "ranks that share a sequence",
       "",
       Key::Change::free},
      {parallel,
       "zero_stage",
       {},
       whole(at(&Recipe::parallel, &Parallel::zero_stage), 0, 3),
       "what is cut between data ranks: 0 nothing, 1 optimizer state, 2 gradients too, 3 weights too",
       "3 when more than one rank shares the data or a sequence, else 0",
       Key::Change::free},
      {parallel,
       "data_shard_size",
       {"dp_shard_size"},
       whole(at(&Recipe::parallel, &Parallel::data_shard_size), 1),
       "ranks that share what zero_stage cuts; other groups of as many hold copies",
       "all ranks of data x context",
       Key::Change::free},
      {parallel,
       "pipeline_schedule",
       {},
       one_of(at(&Recipe::parallel, &Parallel::pipeline_schedule),
              {{"1f1b", Recipe::PipelineSchedule::one_forward_one_backward},
               {"interleaved", Recipe::PipelineSchedule::interleaved},
               {"zero_bubble", Recipe::PipelineSchedule::zero_bubble}}),
       "order of a pipeline's microbatches",
       "",
       Key::Change::free},
      {parallel,
       "pipeline_chunks",
       {"virtual_pipeline_model_parallel_size"},
       whole(at(&Recipe::parallel, &Parallel::pipeline_chunks), 1, 1 << 10),
       "parts of the model that each stage of an interleaved pipeline has",
       "2 when interleaved, else 1",
       Key::Change::free},
  };
}

}  // namespace

std::vector<RecipeKey> train_keys() {
  const NumberRange share{0, true, 1, true};
  const NumberRange below_one{0, true, 1};
  std::vector<RecipeKey> keys = {
      {train,
       "per_device_train_batch_size",
       {"micro_batch_size", "batch_size"},
       whole(at(&Recipe::train, &Train::per_device_train_batch_size), 1, 1 << 20),
       "rows or packs of a microbatch"},
      {train,
       "gradient_accumulation_steps",
       {},
       whole(at(&Recipe::train, &Train::gradient_accumulation_steps), 1, 1 << 20),
       "microbatches of a step and rank at the first start",
       "1, or what global_batch_size makes of it",
       Key::Change::free},
      {train,
       "global_batch_size",
       {"train_batch_size"},
       whole(at(&Recipe::train, &Train::global_batch_size), 1, 1 << 30),
       "rows of a step, for the life of the run",
       "per-device x accumulation x data ranks of the first start"},
      {train,
       "threads_per_rank",
       {},
       whole(at(&Recipe::train, &Train::threads_per_rank), 1, 1024),
       "processor threads of a rank",
       "cores / ranks of the host",
       Key::Change::free},
      {train,
       "learning_rate",
       {"lr", "optimizer.lr"},
       number(at(&Recipe::train, &Train::learning_rate), {0, false}),
       "the peak rate",
       by_task(&TaskDefaults::learning_rate)},
      {train,
       "lr_scheduler_type",
       {"lr_scheduler"},
       scheduler(),
       "how the rate moves, as in transformers; constant warms up only when a warmup is stated"},
      {train,
       "min_lr_ratio",
       {{"min_lr", min_lr}},
       number(at(&Recipe::train, &Train::min_lr_ratio), share),
       "floor of the rate as a share of the peak, for cosine_with_min_lr and warmup_stable_decay"},
      {train,
       "decay_ratio",
       {{"num_decay_steps", num_decay_steps}},
       decay_ratio(),
       "share of the steps that decay in warmup_stable_decay",
       fmt::format("{}", Train().decay_ratio)},
      {train,
       "warmup_ratio",
       {},
       number(at(&Recipe::train, &Train::warmup_ratio), share),
       "share of the steps",
       by_task(&TaskDefaults::warmup_ratio)},
      {train,
       "warmup_steps",
       {"num_warmup_steps"},
       whole(at(&Recipe::train, &Train::warmup_steps), 0),
       "steps; this or warmup_ratio",
       "as warmup_ratio says"},
      {train,
       "num_train_epochs",
       {"num_epochs", "epochs"},
       number(at(&Recipe::train, &Train::num_train_epochs), {0, false}),
       "passes over the data",
       by_task(&TaskDefaults::num_train_epochs),
       Key::Change::larger},
      {train, "max_steps", {}, max_steps(), "steps; wins over the epochs", "none", Key::Change::larger},
      {train,
       "weight_decay",
       {},
       number(at(&Recipe::train, &Train::weight_decay), {0}),
       "decoupled; never on norms or biases",
       by_task(&TaskDefaults::weight_decay)},
      {train,
       "adam_beta1",
       {{"optimizer.betas", beta(0, &Train::adam_beta1), "adam_beta2", beta(1, &Train::adam_beta2)}},
       number(at(&Recipe::train, &Train::adam_beta1), below_one),
       "how slowly the first moment forgets"},
      {train,
       "adam_beta2",
       {},
       number(at(&Recipe::train, &Train::adam_beta2), below_one),
       "how slowly the second moment forgets"},
      {train,
       "adam_epsilon",
       {"optimizer.eps"},
       number(at(&Recipe::train, &Train::adam_epsilon), {0, false}),
       "added to the root of the second moment"},
      {train,
       "label_smoothing_factor",
       {"label_smoothing"},
       number(at(&Recipe::train, &Train::label_smoothing_factor), below_one),
       "mass spread evenly over the vocabulary"},
      {train,
       "max_grad_norm",
       {},
       number(at(&Recipe::train, &Train::max_grad_norm), {0}),
       "global norm that the averaged gradient is clipped to; 0: no clipping"},
      {train,
       "optim",
       {"optimizer", "optimizer._component_"},
       optimizer(),
       "AdamW with master weights and moments in f32"},
      {train,
       "dtype",
       {{"bf16", bf16}, "precision"},
       dtype(),
       "storage and compute; master weights, moments and sums are f32 always"},
      {train,
       "sum_order",
       {},
       one_of(at(&Recipe::train, &Train::sum_order),
              {{"fixed", Recipe::SumOrder::fixed}, {"fast", Recipe::SumOrder::fast}}),
       "fixed: the same bits on every number of data ranks; fast: one reduction a step"},
      {train,
       "bf16_products",
       {},
       one_of(at(&Recipe::train, &Train::bf16_products), {{"auto", Recipe::Products::automatic},
                                                          {"native", Recipe::Products::native},
                                                          {"widened", Recipe::Products::widened}}),
       "of a CPU. auto: native where every processor has them; a run keeps what it began with",
       {},
       Key::Change::free},
      {train,
       "on_spike",
       {},
       one_of(at(&Recipe::train, &Train::on_spike), {{"stop", Recipe::OnSpike::stop}},
              {{"skip_data", "is an answer that this version does not have yet"},
               {"rollback", "is an answer that this version does not have yet"}}),
       "what happens on NaN or infinity"},
      {train,
       "gradient_checkpointing",
       {},
       recompute(),
       "blocks whose forward runs again in backward, to save memory",
       {},
       Key::Change::free},
      {train, "seed", {"random_seed"}, whole(at(&Recipe::train, &Train::seed), 0), "of data order and fresh weights"},
  };
  for (RecipeKey& key : parallel_keys()) keys.push_back(std::move(key));
  return keys;
}

}  // namespace hearth
