#include "parallel/pipeline_simulation.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace hearth {

namespace {

using Verb = Instruction::Verb;

/// Messages of one cargo from one stage, in order: when each was sent, when its receive was posted.
struct Channel {
  std::vector<double> sent;
  std::vector<Action> made_by;
  std::vector<double> posted;
  std::size_t taken = 0;  // receives that were waited for
};

struct Player {
  std::vector<Instruction> program;
  std::size_t next = 0;
  double clock = 0;
  std::vector<char> done;  // by place_of(action)

  bool ended() const { return next == program.size(); }
};

/// Programs are deterministic and every wait names one message, so the order in which stages are moved on changes
/// neither times nor who is stuck.
class Simulation {
 public:
  Simulation(std::span<const std::vector<Action>> lists, const PipelineTimes& times, Sends sends);
  PipelineRun run();

 private:
  Channel& channel(const Message& message);
  /// When message i has arrived, which is when its send is done; false while that is not known.
  bool arrival(const Channel& channel, std::size_t i, double& when) const;
  bool move_on(int stage);
  bool follow(int stage, const Instruction& instruction);
  bool wait(int stage, const Action& action);
  bool send(int stage, const Action& action);
  bool act(int stage, const Action& action);
  double time_of(int stage, const Action& action) const;
  std::size_t place_of(const Action& action) const;
  std::string out_of_order(int stage, const Action& action) const;
  std::string stuck(int stage);
  std::string trouble();
  void add_up();

  PipelineShape shape_;
  int microbatches_ = 0;
  const PipelineTimes& times_;
  Sends sends_;
  bool split_ = false;  // backwards leave the weight gradients to contractions
  std::vector<Player> players_;
  std::vector<Channel> channels_;
  PipelineRun run_;
};

Simulation::Simulation(std::span<const std::vector<Action>> lists, const PipelineTimes& times, Sends sends)
    : times_(times), sends_(sends), channels_(2 * lists.size()) {
  require(!lists.empty() && !times.virtual_stages.empty() && times.virtual_stages.size() % lists.size() == 0,
          "a simulated pipeline has the times of every virtual stage");
  shape_ = {static_cast<int>(lists.size()), static_cast<int>(times.virtual_stages.size() / lists.size())};
  for (const auto& list : lists) {
    for (const Action& action : list) {
      require(action.chunk >= 0 && action.chunk < shape_.chunks, "an action is of one of the stage's chunks");
      require(action.microbatch >= 0, "microbatches are counted from 0");
      microbatches_ = std::max(microbatches_, action.microbatch + 1);
      split_ = split_ || action.what == Do::contract;
    }
    players_.push_back({program_of(list, static_cast<int>(players_.size()), shape_)});
  }
  const Action behind = {Do::contract, 0, shape_.chunks};  // the first of no chunk
  for (Player& player : players_) player.done.resize(place_of(behind));
  run_.stages.resize(lists.size());
  for (std::size_t stage = 0; stage < lists.size(); ++stage) run_.stages[stage].begins.reserve(lists[stage].size());
}

Channel& Simulation::channel(const Message& message) {
  return channels_[2 * static_cast<std::size_t>(message.from) + (message.cargo == Cargo::gradients ? 1 : 0)];
}

bool Simulation::arrival(const Channel& channel, std::size_t i, double& when) const {
  if (i >= channel.sent.size()) return false;
  when = channel.sent[i];
  if (sends_ == Sends::rendezvous) {
    if (i >= channel.posted.size()) return false;
    when = std::max(when, channel.posted[i]);
  }
  when += times_.message;
  return true;
}

double Simulation::time_of(int stage, const Action& action) const {
  const auto at = static_cast<std::size_t>(shape_.virtual_stage(stage, action.chunk));
  const ActionTimes& times = times_.virtual_stages[at];
  if (action.what == Do::forward) return times.forward;
  if (action.what == Do::contract) return times.contract;
  return split_ ? times.backward : times.backward + times.contract;
}

std::size_t Simulation::place_of(const Action& action) const {
  const auto kind = static_cast<std::size_t>(action.what);
  const auto chunk = kind * static_cast<std::size_t>(shape_.chunks) + static_cast<std::size_t>(action.chunk);
  return chunk * static_cast<std::size_t>(microbatches_) + static_cast<std::size_t>(action.microbatch);
}

/// Why the action may not run now for reasons of its own stage; empty: it may.
std::string Simulation::out_of_order(int stage, const Action& action) const {
  const auto did = [&](Do what, int chunk) {
    return players_[static_cast<std::size_t>(stage)].done[place_of({what, action.microbatch, chunk})] != 0;
  };
  const auto [what, microbatch, chunk] = action;
  const char* why = nullptr;
  if (did(what, chunk)) why = "a second time";
  if (what == Do::backward && !did(Do::forward, chunk)) why = "before its forward";
  if (what == Do::contract && !did(Do::backward, chunk)) why = "before its backward";
  if (shape_.stages == 1) {
    if (what == Do::forward && chunk > 0 && !did(what, chunk - 1)) why = "before the chunk before";
    if (what == Do::backward && chunk + 1 < shape_.chunks && !did(what, chunk + 1)) why = "before the chunk behind";
  }
  return why == nullptr ? "" : fmt::format("stage {} would run the {} {}", stage, text(action), why);
}

bool Simulation::act(int stage, const Action& action) {
  Player& player = players_[static_cast<std::size_t>(stage)];
  run_.trouble = out_of_order(stage, action);
  if (!run_.trouble.empty()) return false;
  StageRun& result = run_.stages[static_cast<std::size_t>(stage)];
  const double time = time_of(stage, action);
  result.begins.push_back(player.clock);
  result.busy += time;
  player.clock += time;
  player.done[place_of(action)] = 1;
  return true;
}

bool Simulation::wait(int stage, const Action& action) {
  const Message message = *input_of(action, stage, shape_);
  Channel& from = channel(message);
  double when = 0;
  if (!arrival(from, from.taken, when)) return false;
  const Action& got = from.made_by[from.taken];
  if (!(got == message.made_by)) {
    run_.trouble = fmt::format("stage {} would take the {} of stage {} for the {}", stage, text(got), message.from,
                               text(message.made_by));
    return false;
  }
  ++from.taken;
  double& clock = players_[static_cast<std::size_t>(stage)].clock;
  clock = std::max(clock, when);
  return true;
}

bool Simulation::send(int stage, const Action& action) {
  Channel& to = channel(*output_of(action, stage, shape_));
  double& clock = players_[static_cast<std::size_t>(stage)].clock;
  if (sends_ == Sends::rendezvous && !to.sent.empty()) {
    double when = 0;
    if (!arrival(to, to.sent.size() - 1, when)) return false;
    clock = std::max(clock, when);
  }
  to.sent.push_back(clock);
  to.made_by.push_back(action);
  return true;
}

bool Simulation::follow(int stage, const Instruction& instruction) {
  switch (instruction.verb) {
    case Verb::post:
      channel(*input_of(instruction.action, stage, shape_))
          .posted.push_back(players_[static_cast<std::size_t>(stage)].clock);
      return true;
    case Verb::wait:
      return wait(stage, instruction.action);
    case Verb::run:
      return act(stage, instruction.action);
    case Verb::send:
      return send(stage, instruction.action);
  }
  return false;
}

bool Simulation::move_on(int stage) {
  Player& player = players_[static_cast<std::size_t>(stage)];
  const std::size_t before = player.next;
  while (!player.ended() && follow(stage, player.program[player.next])) ++player.next;
  return player.next != before;
}

/// What a stage that cannot move on waits for.
std::string Simulation::stuck(int stage) {
  const Player& player = players_[static_cast<std::size_t>(stage)];
  const auto [verb, action] = player.program[player.next];
  if (verb == Verb::wait) {
    const Message message = *input_of(action, stage, shape_);
    return fmt::format("stage {} waits for the {} of stage {}", stage, text(message.made_by), message.from);
  }
  const Message message = *output_of(action, stage, shape_);
  return fmt::format("stage {} waits until stage {} takes the output of its {}, to send that of its {}", stage,
                     message.to, text(channel(message).made_by.back()), text(action));
}

std::string Simulation::trouble() {
  std::string all;
  for (int stage = 0; stage < shape_.stages; ++stage) {
    if (players_[static_cast<std::size_t>(stage)].ended()) continue;
    if (!all.empty()) all += "; ";
    all += stuck(stage);
  }
  if (!all.empty()) return all;
  for (const Channel& channel : channels_) {
    if (channel.taken == channel.sent.size()) continue;
    return fmt::format("nobody takes the output of the {}", text(channel.made_by[channel.taken]));
  }
  return "";
}

void Simulation::add_up() {
  for (const Player& player : players_) run_.finish = std::max(run_.finish, player.clock);
  if (run_.finish == 0) return;
  double busy = 0;
  for (StageRun& stage : run_.stages) {
    stage.idle = (run_.finish - stage.busy) / run_.finish;
    busy += stage.busy;
  }
  const double all = run_.finish * static_cast<double>(shape_.stages);
  run_.idle = (all - busy) / all;
}

PipelineRun Simulation::run() {
  bool moved = true;
  while (moved && run_.trouble.empty()) {
    moved = false;
    for (int stage = 0; stage < shape_.stages && run_.trouble.empty(); ++stage) moved = move_on(stage) || moved;
  }
  if (run_.trouble.empty()) run_.trouble = trouble();
  add_up();
  return std::move(run_);
}

}  // namespace

PipelineRun simulate(std::span<const std::vector<Action>> lists, const PipelineTimes& times, Sends sends) {
  return Simulation(lists, times, sends).run();
}

}  // namespace hearth
