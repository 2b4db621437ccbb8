// The keys of the sections output and eval. A new key is one row here and one field in recipe.h.
#include "trainer/recipe_values.h"

namespace hearth {
namespace {

using Key = RecipeKey;
using Output = Recipe::Output;
using Eval = Recipe::Eval;
constexpr auto output = RecipeSection::output;
constexpr auto eval = RecipeSection::eval;
constexpr auto free_change = Key::Change::free;

const std::string network = "sends data over the network, which hearth never does";

FieldReading report_to() {
  return one_of(at(&Recipe::output, &Output::report_to), {{"none", Recipe::ReportTo::none}},
                {{"tensorboard", "is a report that this version does not have yet"},
                 {"wandb", network},
                 {"mlflow", network},
                 {"comet_ml", network},
                 {"swanlab", network},
                 {"all", network}});
}

/// enable_tensorboard and its kin: a no asks for nothing.
bool tensorboard(RecipeDraft& draft, const Statement& statement) {
  const auto wanted = as_flag(statement.value);
  if (!wanted) return refuse_value(draft, statement, flag_words);
  if (!*wanted) return true;
  draft.complain(statement.value.line, fmt::format("{}: TensorBoard files are a report that this version does not have "
                                                   "yet; accepted: false",
                                                   statement.spelling));
  return false;
}

/// auto, none or a path; other tools also say true and false.
FieldReading resume() {
  const auto field = at(&Recipe::output, &Output::resume_from_checkpoint);
  FieldReading reading = text(field, "auto, none or the path of a checkpoint");
  reading.read = [field, read = reading.read](RecipeDraft& draft, const Statement& statement) {
    const auto wanted = statement.value.quoted ? std::nullopt : as_flag(statement.value);
    if (!wanted) return read(draft, statement);
    field.in(draft.recipe) = *wanted ? "auto" : "none";
    return true;
  };
  reading.write = [field](const Recipe& recipe) -> std::optional<std::string> {
    return field.in(recipe) == "none" ? "none" : yaml_text(field.in(recipe));
  };
  return reading;
}

FieldReading eval_strategy() {
  using Strategy = Recipe::EvalStrategy;
  FieldReading reading =
      one_of(at(&Recipe::eval, &Eval::eval_strategy), {{"no", Strategy::no}, {"steps", Strategy::steps}},
             {{"epoch", "is not there; state eval_strategy: steps and eval_steps"}});
  reading.read = [read = reading.read](RecipeDraft& draft, const Statement& statement) {
    if (as_flag(statement.value) != false) return read(draft, statement);
    draft.recipe.eval.eval_strategy = Strategy::no;
    return true;
  };
  return reading;
}

}  // namespace

std::vector<RecipeKey> output_keys() {
  return {
      {output,
       "output_dir",
       {"export_dir"},
       text(at(&Recipe::output, &Output::output_dir), "a folder"),
       "the run's folder; the same recipe again continues the run in it",
       "has to be stated",
       free_change},
      {output,
       "logging_steps",
       {},
       whole(at(&Recipe::output, &Output::logging_steps), 1),
       "steps between log lines",
       {},
       free_change},
      {output,
       "save_steps",
       {"save_every_n_steps"},
       whole(at(&Recipe::output, &Output::save_steps), 1),
       "steps between checkpoints; the last step always commits",
       {},
       free_change},
      {output,
       "save_every_minutes",
       {},
       number(at(&Recipe::output, &Output::save_every_minutes), {0, false}),
       "minutes between checkpoints, whichever comes first",
       "none",
       free_change},
      {output,
       "save_total_limit",
       {},
       whole(at(&Recipe::output, &Output::save_total_limit), 2),
       "newest checkpoints kept; never fewer than 2 good ones",
       "all",
       free_change},
      {output,
       "save_only_model",
       {},
       flag(at(&Recipe::output, &Output::save_only_model)),
       "true: without optimizer state; such a checkpoint cannot be continued",
       {},
       free_change},
      {output,
       "resume_from_checkpoint",
       {"auto_resume_from_checkpoints"},
       resume(),
       "auto: the newest that verifies in output_dir; none: refuse a run that was started",
       {},
       free_change},
      {output,
       "report_to",
       {{"enable_tensorboard", tensorboard}, {"use_tensorboard", tensorboard}},
       report_to(),
       "further reports; the run's folder always has report.html and trainer_log.jsonl",
       {},
       free_change},
      {output,
       "plot_loss",
       {},
       flag(at(&Recipe::output, &Output::plot_loss)),
       "curves in report.html",
       {},
       free_change},

      {eval,
       "eval_strategy",
       {},
       eval_strategy(),
       "when held-out loss is measured, besides before the first and after the last step"},
      {eval,
       "eval_steps",
       {"run_val_every_n_steps"},
       whole(at(&Recipe::eval, &Eval::eval_steps), 1),
       "steps between measurements; implies eval_strategy: steps",
       "none"},
      {eval,
       "domain_qa",
       {},
       questions(at(&Recipe::eval, &Eval::domain_qa)),
       "closed-book questions, scored by exact match before and after",
       "none"},
  };
}

}  // namespace hearth
