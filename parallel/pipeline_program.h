// From a stage's list of actions to what its rank does: which messages an action needs and makes, and when their
// receives and sends are posted. The simulation runs the same program as the trainer, so what it says of waiting and
// deadlock is said of the trainer.
//
// Invariants
//   1. The receive of an action's input is posted before the action before it runs (and before that one's input is
//      waited for), so that the message travels meanwhile.
//   2. On each channel at most one send is under way: the one before is waited for before the next is posted.
//   3. A channel joins one stage to one other, carries one cargo, and keeps its order. Sender and receiver post on it
//      in the same order, which is why messages need no tags.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "parallel/schedule.h"

namespace hearth {

/// Activations go to the next virtual stage, their gradients come back to the one before.
enum class Cargo { activations, gradients };

/// One message: `made_by` on stage `from` makes it. (cargo, from) names the channel: `to` follows from them. There are
/// 2 p channels, two for each ordered pair (stage s, stage s + 1 mod p); with p = 2 the two pairs are not the same.
struct Message {
  Cargo cargo = Cargo::activations;
  int from = 0;
  int to = 0;
  Action made_by;
  bool operator==(const Message&) const = default;
};

/// The sizes of a pipeline, for the functions below.
struct PipelineShape {
  int stages = 1;
  int chunks = 1;
  int virtual_stage(int stage, int chunk) const { return chunk * stages + stage; }
  int virtual_stages() const { return stages * chunks; }
};

/// What `action` of `stage` needs from another stage; none at the ends of the model, for contractions, and where the
/// stages are one: then the input is what the chunk before (after) left on this rank.
std::optional<Message> input_of(const Action& action, int stage, PipelineShape shape);
/// What it makes for another stage.
std::optional<Message> output_of(const Action& action, int stage, PipelineShape shape);

struct Instruction {
  enum class Verb {
    post,  // a receive for the action's input
    wait,  // for that receive
    run,   // the action
    send   // its output, after the send before on this channel is done
  };
  Verb verb = Verb::run;
  Action action;
};

/// The program of `stage`. At its end the last send of every channel is waited for.
std::vector<Instruction> program_of(std::span<const Action> actions, int stage, PipelineShape shape);

}  // namespace hearth
