#include "trainer/run.h"

#include <algorithm>

#include "base/counted.h"
#include "trainer/model_on_mesh.h"
#include "trainer/recipe_check.h"
#include "trainer/recipe_mesh.h"
#include "trainer/recipe_step.h"
#include "trainer/report.h"
#include "trainer/report_text.h"
#include "trainer/run_clock.h"
#include "trainer/run_data.h"
#include "trainer/run_evaluation.h"
#include "trainer/run_interruption.h"
#include "trainer/run_introduction.h"
#include "trainer/run_model.h"
#include "trainer/run_resume.h"
#include "trainer/run_rows.h"
#include "trainer/run_saving.h"
#include "trainer/run_schedule.h"
#include "trainer/run_settled.h"
#include "trainer/run_start.h"
#include "trainer/step.h"
#include "trainer/together_of.h"
#include "trainer/weights.h"

namespace hearth {

namespace {

/// In RunState::more: the step whose evaluation was cut off by an interruption and is still to be done.
constexpr const char* cut_off = "evaluation_cut_off";

/// Everything of one job, in the order in which it comes to be.
class Job {
 public:
  Job(const Recipe& recipe, const RunContext& context);
  RunEnd run();

 private:
  bool first() const { return context_.world.rank() == 0; }
  void note(const std::string& text) { progress_.note(text); }
  /// What a person must know, whatever of the progress is shown.
  void warn(const std::string& text) {
    if (first() && context_.progress == ProgressStyle::none) fmt::print(stderr, "{}\n", text);
    note(text);
  }
  StartFacts settled() const;
  void go_on();
  void place_rows();
  void fill();
  void introduce();
  void before_the_first_step();
  bool evaluate(StepRecord& record);
  void evaluate_what_was_cut_off();
  void one_step(std::int64_t step);
  [[noreturn]] void stop_on_trouble(std::int64_t step, std::span<const std::int64_t> chosen);
  bool save(std::int64_t step);
  bool save_is_due(std::int64_t step, RunEnd& end);
  void end_early(std::int64_t step, bool saved, RunEnd end);
  bool nothing_left() const;
  RunEnd end_without_a_step();
  StepRecord record_of(std::int64_t step) const;
  void finish();
  WrittenReport report(const std::string& ending = "", bool broken = false);

  const Recipe& recipe_;
  const RunContext& context_;
  Together together_;
  Progress progress_;
  RunStart start_;
  std::unique_ptr<CheckpointReader> resumed_;
  RunModel model_;
  Mesh mesh_;
  Transformer transformer_;
  Prepared data_;
  std::optional<Prepared> questions_;
  DatasetRows rows_;
  RunEvaluation evaluation_;
  std::optional<RunRows> step_rows_;
  std::unique_ptr<Backend> backend_;
  Bf16Products products_ = Bf16Products::widened;
  std::unique_ptr<ModelOnMesh> on_;
  std::unique_ptr<Stepper> stepper_;
  std::unique_ptr<MetricsLog> log_;

  std::string memory_table_;  // of the first rank, made beforehand
  std::int64_t steps_ = 0;    // of the whole run
  RunState state_;
  std::optional<RunSaving> saving_;
  RunClock clock_;
};

Job::Job(const Recipe& recipe, const RunContext& context)
    : recipe_(recipe),
      context_(context),
      together_(together_until_asked(context, recipe)),
      progress_(context.world.rank() == 0 ? context.progress : ProgressStyle::none, context.colors,
                recipe.output.logging_steps, context.out),
      start_(start_run(recipe, context.world, context.program)),
      model_(run_model(recipe, together_)),
      mesh_(context.world, mesh_shape(recipe, model_.config, context.world.size())),
      transformer_(model_.config, recipe.train.label_smoothing_factor,
                   recipe.model.init == Recipe::Init::xavier ? Init::xavier : Init::normal,
                   {.tensor = mesh_.shape().tensor, .context = mesh_.shape().context}),
      data_(prepare_data(recipe, model_, together_)),
      questions_(recipe.eval.domain_qa ? std::optional(prepare_questions(recipe, model_, together_)) : std::nullopt),
      rows_(data_.train),
      evaluation_(recipe, data_.eval ? &*data_.eval : nullptr, questions_ ? &questions_->train : nullptr) {
  for (const std::string& text : start_.notes) warn("note: " + text);
  for (const std::string& text : model_.notes) note("note: " + text);
  if (const std::string lost = data_.counts.losses(); !lost.empty()) note("note: " + lost);
  for (const std::string& text : data_.counts.remarks) note("note: " + text);
  all_or_none(together_, [this] { go_on(); });
  if (resumed_) {
    for (const std::string& text : step_notes(recipe, state_, mesh_.shape().data)) note("note: " + text);
  }
  std::string changed;
  ChosenDevice device = context.make_device(products_of_run(recipe, resumed_ ? &state_ : nullptr, changed));
  if (!changed.empty()) warn("note: " + changed);
  backend_ = std::move(device.backend);
  products_ = device.products;
  for (const std::string& text : device_notes(together_, device.kind, state_)) warn("note: " + text);
  fill();
  all_or_none(together_, [this] {
    if (start_.record) write_run_record(recipe_.output.output_dir, *start_.record);
  });
}

/// Where the run stands: at the checkpoint that was found, which the first rank has verified, or at its beginning.
void Job::go_on() {
  if (start_.checkpoint) {
    resumed_ = std::make_unique<CheckpointReader>(*start_.checkpoint, Verify::nothing);
    check_continues(*resumed_, recipe_, model_, data_.train);
    state_ = resumed_->state();
  }
  saving_.emplace(recipe_, transformer_, model_, context_.program, resumed_ ? resumed_->digest() : "");
  place_rows();
}

StartFacts Job::settled() const {
  return {
      model_.config,   mesh_.shape(), step_rows_->of_step(), steps_, data_options(recipe_, model_.config).cutoff_len,
      context_.threads};
}

/// How many rows a step has: as the first start fixed it.
void Job::place_rows() {
  const std::int64_t rows = data_.train.rows();
  if (!resumed_) {
    const StepRows first_start = rows_of_first_start(recipe_, mesh_.shape().data);
    state_.microbatches = first_start.microbatches;
    state_.microbatch_rows = first_start.microbatch;
    state_.rows_of_epoch = rows;
    state_.seed = static_cast<std::uint64_t>(recipe_.train.seed);
    state_.more["data"] = data_.train.store().key();
  }
  const StepRows of_step = {state_.microbatches * state_.microbatch_rows, state_.microbatch_rows, state_.microbatches};
  check_schedule(recipe_, mesh_.shape(), of_step.microbatches);
  step_rows_.emplace(recipe_, rows, of_step);
  steps_ = step_rows_->steps(state_);
  clock_.begin(state_, steps_);
  state_.recipe = resolved_yaml(recipe_, settled_at_start(recipe_, settled()));
}

void Job::fill() {
  Ops& ops = backend_->ops();
  Memory& memory = backend_->memory();
  PlacedOptions placed = placed_of(recipe_, mesh_.shape());
  placed.poison = context_.poison;
  // One row at least: a run that is finished has no microbatch to come, and its model is placed all the same.
  placed.capacity =
      std::max({capacity_for(rows_, step_rows_->to_come(state_)), capacity_for(rows_, 1), evaluation_.capacity()});
  if (first()) {  // memory is known before any is taken
    memory_table_ = memory_of(settled(), transformer_, placed, evaluation_.asks_questions(), *backend_);
  }
  on_ = std::make_unique<ModelOnMesh>(transformer_, mesh_, placed, ops, memory);
  const StepOptions step = step_of_recipe(recipe_, step_rows_->of_step().microbatch);
  stepper_ = std::make_unique<Stepper>(on_->pipeline, on_->groups, ops, memory, rows_, step);
  if (resumed_) {
    fill_from_checkpoint(on_->groups, *resumed_, true);
  } else if (model_.base) {
    model_.base->fill(on_->groups);
  } else {
    fill_fresh(on_->groups, static_cast<std::uint64_t>(recipe_.train.seed));
  }
}

StepRecord Job::record_of(std::int64_t step) const {
  StepRecord record = clock_.record(step, state_);
  record.peak_memory = backend_->memory().peak();
  return record;
}

/// False: it was cut off, and the record is as it was.
bool Job::evaluate(StepRecord& record) {
  const bool whole = evaluation_.measure(
      on_->pipeline, [this] { return asked_to_end(context_); }, record);
  if (!whole) return false;
  note(measured_text(record));
  if (record.eval_loss)
    state_.best_eval_loss = std::min(*record.eval_loss, state_.best_eval_loss.value_or(*record.eval_loss));
  return true;
}

/// The attempt before ended in the evaluation after its last step, which is done now, as if nothing had been between.
void Job::evaluate_what_was_cut_off() {
  if (!state_.more.contains(cut_off)) return;
  StepRecord measured = record_of(clock_.begun());
  if (!evaluate(measured)) end_if_asked(context_, recipe_);
  if (log_) log_->amend(measured);
  state_.more.erase(cut_off);
  if (nothing_left()) save(clock_.begun());  // the last checkpoint knows of it, too
}

void Job::stop_on_trouble(std::int64_t step, std::span<const std::int64_t> chosen) {
  const Trouble trouble = stepper_->diagnose(chosen);
  const std::string text = trouble_text(recipe_, trouble, step, saving_->any());
  progress_.end();
  report(text, true);
  fail_everywhere(Kind::numeric, "{}", text);
}

void Job::one_step(std::int64_t step) {
  const std::vector<std::int64_t> chosen = step_rows_->next(state_);
  const StepResult result = stepper_->step(step, chosen, schedule_of(recipe_, steps_).rate(step));
  if (!result.updated) stop_on_trouble(step, chosen);
  if (step == clock_.begun() && result.spare > 0) {
    note(fmt::format("note: {} a step on {} data ranks {} {} of the last round empty",
                     counted(result.microbatches, "microbatch"), mesh_.shape().data,
                     result.microbatches == 1 ? "leaves" : "leave", counted(result.spare, "place")));
  }
  state_.step = step + 1;
  state_.row += static_cast<std::int64_t>(chosen.size());
  state_.tokens += result.tokens;
  state_.trained_tokens += result.trained;
  state_.last_loss = result.loss;
  if (context_.in_step) context_.in_step(step + 1);
  StepRecord record = record_of(step + 1);
  record.loss = result.loss;
  record.rate = result.rate;
  record.norm = result.norm;
  progress_.step(record, step + 1 == context_.until);
  if (evaluation_.due_after(step + 1, steps_) && !evaluate(record)) state_.more[cut_off] = step + 1;
  if (log_) log_->append(record);
}

/// All ranks agree: a signal on any of them counts, and the first rank's clock. `end`: how the run ends after it.
bool Job::save_is_due(std::int64_t step, RunEnd& end) {
  const auto& minutes = recipe_.output.save_every_minutes;
  std::int64_t flags[2] = {asked_to_end(context_) ? 1 : 0,
                           first() && minutes && clock_.minutes_since_saved() >= *minutes ? 1 : 0};
  context_.world.sum(Tensor(flags, Dtype::i64, {2})).wait();
  const bool early = step < steps_ || state_.more.contains(cut_off);
  end = RunEnd::finished;
  if (early && step == context_.until) end = RunEnd::paused;
  if (early && flags[0] > 0) end = RunEnd::interrupted;
  return flags[0] > 0 || end != RunEnd::finished || flags[1] > 0 || step == steps_ ||
         step % recipe_.output.save_steps == 0;
}

bool Job::save(std::int64_t step) {
  state_.more["bf16_products"] = name_of(products_);
  const SaveResult result = saving_->save(context_.world, state_, on_->groups);
  clock_.saved();
  for (const std::string& text : result.notes) warn("note: " + text);
  if (!result.committed) {
    warn(fmt::format("ALARM: the checkpoint of step {} could not be saved: {}", step, result.text));
    if (step == steps_)
      fail_everywhere(
          result.kind,
          "the last checkpoint could not be saved: {}; those before it are untouched: make room, then the same command "
          "goes on",
          result.text);
    return false;
  }
  return true;
}

/// What is about to run.
void Job::introduce() {
  for (const std::string& line : introduction(recipe_, settled(), data_.train)) note(line);
  if (recipe_.train.dtype == Dtype::bf16) note(fmt::format("bf16 products: {}", name_of(products_)));
  if (clock_.begun() > 0)
    note(fmt::format("continuing from {} (step {} of {})", resumed_->path().string(), clock_.begun(), steps_));
}

void Job::before_the_first_step() {
  end_if_asked(context_, recipe_);
  note(memory_table_);
  clock_.begin(state_, steps_);
  StepRecord before = record_of(0);
  if (clock_.begun() == 0 && evaluation_.due_after(0, steps_)) {
    if (!evaluate(before)) end_if_asked(context_, recipe_);
    if (log_) log_->append(before);
  }
  clock_.begin(state_, steps_);  // speed is that of training alone
}

void Job::end_early(std::int64_t step, bool saved, RunEnd end) {
  progress_.end();
  const char* const what = end == RunEnd::paused ? "stopped as asked" : "interrupted";
  if (!saved) {
    fail_everywhere(
        Kind::storage,
        "{} at step {}, and no checkpoint could be saved; those before it are untouched: make room, then the "
        "same command goes on",
        what, step);
  }
  const std::string text =
      fmt::format("{} at step {} of {}: the checkpoint is saved, the same command goes on{}", what, step, steps_,
                  state_.more.contains(cut_off) ? ", first with the evaluation that was cut off" : "");
  report(text);
  note(text);
}

/// Whether the run is where it was to come to already.
bool Job::nothing_left() const {
  return clock_.begun() >= steps_ || (context_.until > 0 && clock_.begun() >= context_.until);
}

RunEnd Job::end_without_a_step() {
  report();
  if (clock_.begun() < steps_) {
    note(fmt::format("{} of {} steps are done, and none was asked for beyond step {}", clock_.begun(), steps_,
                     context_.until));
    return RunEnd::paused;
  }
  note(fmt::format("this run is finished: {} steps are done; a larger max_steps or num_train_epochs lets it go on",
                   clock_.begun()));
  return RunEnd::finished;
}

RunEnd Job::run() {
  if (first()) log_ = std::make_unique<MetricsLog>(recipe_.output.output_dir, clock_.begun());
  introduce();
  evaluate_what_was_cut_off();
  if (nothing_left()) return end_without_a_step();
  before_the_first_step();
  for (std::int64_t step = clock_.begun(); step < steps_; ++step) {
    one_step(step);
    RunEnd end = RunEnd::finished;
    if (save_is_due(step + 1, end)) {
      const bool saved = save(step + 1);
      if (end != RunEnd::finished) {
        end_early(step + 1, saved, end);
        return end;
      }
    }
    if (context_.after_step) context_.after_step(step + 1);
  }
  finish();
  return RunEnd::finished;
}

/// Of the first rank; the others get an empty one.
WrittenReport Job::report(const std::string& ending, bool broken) {
  log_.reset();
  WrittenReport written;
  all_or_none(together_, [&] {
    if (!first()) return;
    ReportFacts about = report_facts(recipe_, settled());
    about.program = context_.program;
    about.machine = backend_->description();
    about.recipe = state_.recipe;
    about.counts = data_.counts.text();
    about.ending = ending;
    about.broken = broken;
    written = write_report(recipe_.output.output_dir, about, recipe_.output.plot_loss);
  });
  return written;
}

/// Says the numbers of the report: one run has one duration and one speed.
void Job::finish() {
  progress_.end();
  const WrittenReport written = report();
  const RunSummary& run = written.summary;
  note(fmt::format("finished: {} steps in {}{}, {} tokens/s; the model is in {}/step-{}, the report is {}", steps_,
                   duration_text(run.seconds), run.attempts > 1 ? fmt::format(" ({} attempts)", run.attempts) : "",
                   speed_text(run.speed), recipe_.output.output_dir, steps_, written.path.string()));
}

}  // namespace

RunEnd train(const Recipe& recipe, const RunContext& context) {
  // What these refuse they refuse before anything is touched.
  all_or_none(together_of(context.world), [&] {
    const MeshShape shape = mesh_shape(recipe, context.world.size());
    check_chunks(recipe);
    if (context.world.rank() == 0) check_first_start(recipe, shape);
  });
  Job job(recipe, context);
  return job.run();
}

}  // namespace hearth
