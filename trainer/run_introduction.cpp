#include "trainer/run_introduction.h"

#include <fmt/format.h>

#include "base/counted.h"
#include "base/file.h"
#include "trainer/memory_plan.h"
#include "trainer/recipe_mesh.h"
#include "trainer/recipe_resolve.h"

namespace hearth {

namespace {

std::string ranks_text(const Recipe& recipe, const StartFacts& facts) {
  return fmt::format("{} x {} thread(s), ZeRO {}", facts.mesh.text(), facts.threads,
                     zero_stage(recipe, facts.mesh.data * facts.mesh.context));
}

/// What to do about NaN or infinity in a run that has done `steps` steps.
std::string advice_after_trouble(const Recipe& recipe, std::int64_t steps) {
  if (steps > 0) return "Lower learning_rate or raise warmup_steps, in another output_dir";
  if (recipe.from_nothing())
    return "No weight was changed before: the fresh weights are too large for this model; lower initializer_range";
  return fmt::format(
      "No weight was changed before: those that it began with may be damaged; fetch {} again, or look with "
      "`hearth generate` whether it still answers",
      *recipe.model.model_name_or_path);
}

/// Microbatches of one data rank in a step.
std::int64_t rounds_of(const StartFacts& facts) {
  return (facts.step.microbatches + facts.mesh.data - 1) / facts.mesh.data;
}

}  // namespace

std::vector<std::string> introduction(const Recipe& recipe, const StartFacts& facts, const Dataset& data) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{} parameters, {}, {}, {} of at most {}, {} a step, {}", facts.config.parameters(),
                              name_of(recipe.train.dtype), ranks_text(recipe, facts), counted(data.rows(), "row"),
                              counted(data.longest_row(), "token"), facts.step.rows, counted(facts.steps, "step")));
  // Of a stated max_steps the recipe was told already.
  if (const std::int64_t warmup = recipe.train.warmup_steps.value_or(0);
      warmup > facts.steps && !recipe.train.max_steps)
    lines.push_back("note: " + warmup_beyond(warmup, facts.steps));
  const int stages = facts.mesh.pipe;
  if (stages > 1) {
    const std::int64_t rounds = rounds_of(facts);
    const PipelineSchedule kind = schedule_kind(recipe);
    lines.push_back(fmt::format("pipeline of {} stages, {}, {}: {:.1f} % of the time of equal stages is bubble", stages,
                                name_of(kind), counted(rounds, "microbatch"),
                                100 * ideal_bubble(kind, stages, chunks_of(recipe), static_cast<int>(rounds))));
  }
  return lines;
}

std::string memory_of(const StartFacts& facts, const Transformer& model, const PlacedOptions& placed,
                      bool asks_questions, Backend& backend) {
  PlannedLayout layout = layout_of(model, facts.mesh, placed, static_cast<int>(rounds_of(facts)));
  layout.asks_questions = asks_questions;
  const PlannedModel planned(model, placed.capacity, placed.compute);
  return memory_table(plan_memory(planned, layout, 0, backend));
}

std::string trouble_text(const Recipe& recipe, const Trouble& trouble, std::int64_t steps, bool saved) {
  return fmt::format(
      "step {}: the gradients hold NaN or infinity; first seen in the {} of block {}, microbatch {}, on rank {}. The "
      "update was left out on every rank and the run stops{}. {}",
      steps + 1, trouble.what, trouble.block, trouble.microbatch, trouble.rank,
      saved ? "; its last checkpoint is good" : "", advice_after_trouble(recipe, steps));
}

ReportFacts report_facts(const Recipe& recipe, const StartFacts& facts) {
  ReportFacts about;
  about.title = Path(recipe.output.output_dir).filename().string();
  about.model = fmt::format("{}, {} parameters", name_of(facts.config.architecture), facts.config.parameters());
  about.mesh = fmt::format("{}, {}", ranks_text(recipe, facts), name_of(recipe.train.dtype));
  return about;
}

}  // namespace hearth
