#include "parallel/schedule.h"

#include <algorithm>

#include "base/counted.h"
#include "base/error.h"

namespace hearth {

namespace {

void check(PipelineSchedule schedule, int stage, int stages, int chunks, int microbatches) {
  const std::string why = refusal(schedule, stages, chunks, microbatches);
  if (!why.empty()) fail(Kind::usage, "{}", why);
  require(stage >= 0 && stage < stages, "a stage is one of the pipeline's");
}

/// `ahead` forwards, then a forward and a backward by turns, then the backwards that are left. forward(k) and
/// backward(k) add the k-th of `count`.
template <class Forward, class Backward>
void by_turns(int ahead, int count, const Forward& forward, const Backward& backward) {
  ahead = std::min(ahead, count);
  for (int k = 0; k < ahead; ++k) forward(k);
  for (int k = 0; k < count; ++k) {
    if (ahead + k < count) forward(ahead + k);
    backward(k);
  }
}

/// "8 or 12", the multiples of `step` around `size`.
std::string nearest_multiples(int size, int step) {
  const int below = size / step * step;
  return below == 0 ? fmt::format("{}", step) : fmt::format("{} or {}", below, below + step);
}

}  // namespace

std::string text(const Action& action) {
  const char* const what = action.what == Do::forward    ? "forward"
                           : action.what == Do::backward ? "backward"
                                                         : "contraction";
  return fmt::format("{} of microbatch {}, chunk {}", what, action.microbatch, action.chunk);
}

std::vector<Action> one_f_one_b(int stage, int stages, int chunks, int microbatches) {
  check(PipelineSchedule::one_f_one_b, stage, stages, chunks, microbatches);
  std::vector<Action> actions;
  by_turns(
      stages - 1 - stage, microbatches,
      [&](int k) {
        actions.push_back({Do::forward, k, 0});
      },
      [&](int k) {
        actions.push_back({Do::backward, k, 0});
      });
  return actions;
}

std::vector<Action> interleaved(int stage, int stages, int chunks, int microbatches) {
  check(PipelineSchedule::interleaved, stage, stages, chunks, microbatches);
  const int round = stages * chunks;  // actions of one kind that take a group of microbatches through all chunks
  const auto microbatch = [&](int k) { return k / round * stages + k % stages; };
  const auto chunk = [&](int k) { return k % round / stages; };
  std::vector<Action> actions;
  by_turns(
      2 * (stages - 1 - stage) + (chunks - 1) * stages, microbatches * chunks,
      [&](int k) {
        actions.push_back({Do::forward, microbatch(k), chunk(k)});
      },
      [&](int k) {
        actions.push_back({Do::backward, microbatch(k), chunks - 1 - chunk(k)});
      });
  return actions;
}

std::vector<Action> zero_bubble(int stage, int stages, int chunks, int microbatches) {
  check(PipelineSchedule::zero_bubble, stage, stages, chunks, microbatches);
  std::vector<Action> actions;
  int contracted = 0;
  const auto contract = [&] { actions.push_back({Do::contract, contracted++, 0}); };
  by_turns(
      stages - 1 - stage, microbatches,
      [&](int k) {
        actions.push_back({Do::forward, k, 0});
      },
      [&](int k) {
        actions.push_back({Do::backward, k, 0});
        if (k >= stage) contract();
      });
  while (contracted < microbatches) contract();
  return actions;
}

const char* name_of(PipelineSchedule schedule) {
  switch (schedule) {
    case PipelineSchedule::one_f_one_b:
      return "1f1b";
    case PipelineSchedule::interleaved:
      return "interleaved";
    case PipelineSchedule::zero_bubble:
      return "zero_bubble";
  }
  fail(Kind::internal, "a schedule without a name");
}

std::vector<Action> actions_of(PipelineSchedule schedule, int stage, int stages, int chunks, int microbatches) {
  switch (schedule) {
    case PipelineSchedule::one_f_one_b:
      return one_f_one_b(stage, stages, chunks, microbatches);
    case PipelineSchedule::interleaved:
      return interleaved(stage, stages, chunks, microbatches);
    case PipelineSchedule::zero_bubble:
      return zero_bubble(stage, stages, chunks, microbatches);
  }
  fail(Kind::internal, "a schedule without a list of actions");
}

std::vector<std::vector<Action>> all_stages(PipelineSchedule schedule, int stages, int chunks, int microbatches) {
  check(schedule, 0, stages, chunks, microbatches);
  std::vector<std::vector<Action>> lists;
  lists.reserve(static_cast<std::size_t>(stages));
  for (int stage = 0; stage < stages; ++stage) {
    lists.push_back(actions_of(schedule, stage, stages, chunks, microbatches));
  }
  return lists;
}

std::string refusal(PipelineSchedule schedule, int stages, int chunks) {
  const std::string name = fmt::format("pipeline_schedule: {}", name_of(schedule));
  if (stages < 1) return fmt::format("{} with {} stages: a pipeline has 1 stage or more", name, stages);
  if (chunks < 1) return fmt::format("{} with {} chunks a stage: a stage has 1 chunk or more", name, chunks);
  if (schedule != PipelineSchedule::interleaved) {
    if (chunks == 1) return "";
    return fmt::format("{} with {} chunks a stage: it works with 1 alone; interleaved takes 2 or more", name, chunks);
  }
  if (chunks > 1) return "";
  return fmt::format(
      "{} with 1 chunk a stage: it takes 2 or more; with 1 there is nothing between which to go to and fro, and 1f1b "
      "does the same",
      name);
}

std::string refusal(PipelineSchedule schedule, int stages, int chunks, int microbatches) {
  const std::string why = refusal(schedule, stages, chunks);
  if (!why.empty()) return why;
  const std::string name = fmt::format("pipeline_schedule: {}", name_of(schedule));
  if (microbatches < 1) return fmt::format("{} with {} microbatches: a step has 1 or more", name, microbatches);
  if (schedule == PipelineSchedule::interleaved && microbatches % stages != 0) {
    return fmt::format("{} with {} on {}: their number must divide by that of the stages; {} would", name,
                       counted(microbatches, "microbatch"), counted(stages, "stage"),
                       nearest_multiples(microbatches, stages));
  }
  return "";
}

double ideal_bubble(PipelineSchedule schedule, int stages, int chunks, int microbatches) {
  check(schedule, 0, stages, chunks, microbatches);
  const int busy = (schedule == PipelineSchedule::zero_bubble ? 3 : 1) * chunks * microbatches;
  int all = busy + stages - 1;
  if (schedule == PipelineSchedule::zero_bubble) all = std::max(all, 2 * microbatches + 2 * stages - 1);
  return static_cast<double>(all - busy) / static_cast<double>(all);
}

}  // namespace hearth
