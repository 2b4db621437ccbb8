#include "trainer/run_evaluation.h"

#include <algorithm>

#include "trainer/step.h"

namespace hearth {

namespace {

/// The share of questions answered exactly, by answers that may be so long.
double share_of(const std::vector<bool>& matches, const Rows& questions, std::int64_t longest) {
  std::int64_t right = 0;
  for (std::size_t i = 0; i < matches.size(); ++i) {
    const std::int64_t answer = questions.trained(static_cast<std::int64_t>(i)) - 1;  // its end is a target too
    if (matches[i] && answer <= longest) ++right;
  }
  return static_cast<double>(right) / static_cast<double>(matches.size());
}

}  // namespace

RunEvaluation::RunEvaluation(const Recipe& recipe, const Dataset* held_out, const Dataset* questions)
    : recipe_(recipe) {
  if (held_out != nullptr) held_out_.emplace(*held_out);
  if (questions != nullptr) questions_.emplace(*questions);
}

std::int64_t RunEvaluation::capacity() const {
  std::int64_t most = 0;
  for (const auto* some : {&held_out_, &questions_}) {
    if (*some) most = std::max(most, capacity_for(**some, 1));
  }
  return most;
}

bool RunEvaluation::due_after(std::int64_t step, std::int64_t steps) const {
  if (!any()) return false;
  const bool by_steps = recipe_.eval.eval_strategy == Recipe::EvalStrategy::steps && recipe_.eval.eval_steps;
  return step == 0 || step == steps || (by_steps && step % *recipe_.eval.eval_steps == 0);
}

bool RunEvaluation::measure(Pipeline& pipeline, const Asked& asked, StepRecord& record) const {
  std::optional<double> loss, share;
  if (held_out_) {
    loss = mean_loss(pipeline, *held_out_, asked);
    if (!loss) return false;
  }
  if (questions_) {
    const auto matches = exact_matches(pipeline, *questions_, asked);
    if (!matches) return false;
    share = share_of(*matches, *questions_, recipe_.eval.domain_qa->max_new_tokens);
  }
  if (loss) record.eval_loss = loss;
  if (share) record.exact_match = share;
  return true;
}

std::string measured_text(const StepRecord& record) {
  std::string text = fmt::format("after step {}:", record.step);
  if (record.eval_loss) text += fmt::format("  held-out loss {:.4f}", *record.eval_loss);
  if (record.exact_match) text += fmt::format("  questions answered exactly {:.1f} %", 100 * *record.exact_match);
  return text;
}

}  // namespace hearth
