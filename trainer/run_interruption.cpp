#include "trainer/run_interruption.h"

#include "trainer/checkpoint.h"
#include "trainer/together_of.h"

namespace hearth {

namespace {

/// Before the first step of a start there is nothing new to save.
std::string nothing_done(const Path& output_dir) {
  const auto there = checkpoints(output_dir);
  return "interrupted before the first step of this start: nothing was trained; " +
         (there.empty()
              ? fmt::format("{} holds no checkpoint yet, and the same command begins the run", output_dir.string())
              : fmt::format("{} is as it was, and the same command goes on from there", there.back().string()));
}

}  // namespace

bool asked_to_end(const RunContext& context) {
  return context.interrupted != nullptr && *context.interrupted;
}

Together together_until_asked(const RunContext& context, const Recipe& recipe) {
  Together together = together_on_files_of(context.world);
  together.check = [&context, &recipe] {
    if (asked_to_end(context)) fail(Kind::preempted, "{}", nothing_done(recipe.output.output_dir));
  };
  return together;
}

void end_if_asked(const RunContext& context, const Recipe& recipe) {
  std::int64_t asked = asked_to_end(context) ? 1 : 0;
  context.world.sum(Tensor(&asked, Dtype::i64, {1})).wait();
  if (asked > 0) fail_everywhere(Kind::preempted, "{}", nothing_done(recipe.output.output_dir));
}

}  // namespace hearth
