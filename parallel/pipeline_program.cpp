#include "parallel/pipeline_program.h"

#include "base/error.h"

namespace hearth {

namespace {

/// Virtual stage `at` as an action of the stage that holds it.
Action on(int at, const Action& action, PipelineShape shape) {
  return {action.what, action.microbatch, at / shape.stages};
}

/// The message that `action` of the virtual stage `from` makes for the virtual stage `to`.
std::optional<Message> between(int from, int to, const Action& action, PipelineShape shape) {
  const bool outside = from < 0 || to < 0 || from >= shape.virtual_stages() || to >= shape.virtual_stages();
  if (outside || shape.stages == 1) return std::nullopt;
  return Message{.cargo = action.what == Do::forward ? Cargo::activations : Cargo::gradients,
                 .from = from % shape.stages,
                 .to = to % shape.stages,
                 .made_by = on(from, action, shape)};
}

/// The way from a virtual stage to the one that its output goes to.
int direction(const Action& action) {
  return action.what == Do::forward ? 1 : -1;
}

}  // namespace

std::optional<Message> input_of(const Action& action, int stage, PipelineShape shape) {
  if (action.what == Do::contract) return std::nullopt;
  const int here = shape.virtual_stage(stage, action.chunk);
  return between(here - direction(action), here, action, shape);
}

std::optional<Message> output_of(const Action& action, int stage, PipelineShape shape) {
  if (action.what == Do::contract) return std::nullopt;
  const int here = shape.virtual_stage(stage, action.chunk);
  return between(here, here + direction(action), action, shape);
}

std::vector<Instruction> program_of(std::span<const Action> actions, int stage, PipelineShape shape) {
  require(stage >= 0 && stage < shape.stages, "a stage is one of the pipeline's");
  using Verb = Instruction::Verb;
  std::vector<Instruction> program;
  program.reserve(4 * actions.size());
  const auto post = [&](const Action& action) {
    if (input_of(action, stage, shape)) program.push_back({Verb::post, action});
  };
  if (!actions.empty()) post(actions.front());
  for (std::size_t i = 0; i < actions.size(); ++i) {
    if (i + 1 < actions.size()) post(actions[i + 1]);
    if (input_of(actions[i], stage, shape)) program.push_back({Verb::wait, actions[i]});
    program.push_back({Verb::run, actions[i]});
    if (output_of(actions[i], stage, shape)) program.push_back({Verb::send, actions[i]});
  }
  return program;
}

}  // namespace hearth
