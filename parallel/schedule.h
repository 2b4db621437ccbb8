// Pipeline schedules as data: what one stage of a pipeline does in a step, in which order. Pure functions of sizes; who
// computes, sends and waits is somebody else's business.
//
// A pipeline has p stages, one a rank. Each stage holds v chunks of the model: chunk c of stage s is the virtual stage
// c * p + s, so activations travel from stage s to stage s + 1, and from the last stage back to the first, into the
// next chunk. m microbatches pass through all p * v virtual stages, forward and then backward.
//
// Invariants of every list
//   1. Each action appears exactly once for each microbatch and chunk.
//   2. Forwards and backwards of one chunk go by ascending microbatch, and so do its contractions: weight gradients are
//      added up in the same order under every schedule, which is that of one rank.
//   3. All stages run the forwards of a chunk in the same order, and the backwards: messages between two stages arrive
//      in the order in which they are wanted.
#pragma once

#include <string>
#include <vector>

namespace hearth {

/// forward and backward are those of a chunk's blocks. Where a list has contractions, a backward makes the gradient of
/// the input alone, and the contraction adds the weight gradients that it put off (model/deferring_sink.h); in any
/// other list a backward is both.
enum class Do { forward, backward, contract };

struct Action {
  Do what = Do::forward;
  int microbatch = 0;
  int chunk = 0;
  bool operator==(const Action&) const = default;
};

/// "backward of microbatch 3, chunk 0"
std::string text(const Action& action);

/// The actions of `stage`. One chunk. Throws Kind::usage with refusal()'s words.
/// Narayanan et al. 2019: after p - 1 - stage forwards, a forward and a backward by turns; at most p - stage
/// microbatches are in flight.
std::vector<Action> one_f_one_b(int stage, int stages, int chunks, int microbatches);

/// Narayanan et al. 2021: microbatches pass in groups of p through chunk 0, then chunk 1, ...; a stage begins with
/// 2 (p - 1 - stage) + (v - 1) p forwards, and holds at most one more. Two chunks or more; m is a multiple of p.
std::vector<Action> interleaved(int stage, int stages, int chunks, int microbatches);

/// ZB-H1 of Qi et al. 2023: one_f_one_b with backwards split in two. Stage s puts off the contractions of s
/// microbatches, which fill the time in which it would wait at the end of the step. At most p - stage microbatches lie
/// between forward and backward, and at most p between forward and contraction. One chunk.
std::vector<Action> zero_bubble(int stage, int stages, int chunks, int microbatches);

/// The three by name: `pipeline_schedule: 1f1b | interleaved | zero_bubble`.
enum class PipelineSchedule { one_f_one_b, interleaved, zero_bubble };
const char* name_of(PipelineSchedule schedule);
std::vector<Action> actions_of(PipelineSchedule schedule, int stage, int stages, int chunks, int microbatches);
/// The lists of all stages, by stage.
std::vector<std::vector<Action>> all_stages(PipelineSchedule schedule, int stages, int chunks, int microbatches);

/// Why a schedule cannot be run at these sizes, in a sentence that names the nearest sizes that work; empty when it
/// can.
std::string refusal(PipelineSchedule schedule, int stages, int chunks, int microbatches);
/// The same as far as it holds for any number of microbatches.
std::string refusal(PipelineSchedule schedule, int stages, int chunks);

/// The share of time that a stage stands idle when all actions of a schedule take equally long (a backward that is not
/// split may take any multiple), messages take no time, and every stage is as fast as every other:
///
///   one_f_one_b   (p - 1) / (m + p - 1)
///   interleaved   (p - 1) / (v m + p - 1)
///   zero_bubble   1 - 3 m / max(3 m + p - 1, 2 m + 2 p - 1): (p - 1) / (3 m + p - 1) from m = p on
///
/// zero_bubble: the last stage is reached after p - 1 forwards and is busy from then on, 3 m long. But the first stage
/// cannot end before the last microbatch came back to it. With m < p the last stage turns a microbatch round every two
/// actions, so that the last one's backward ends there at (p - 1) + 2 m; p - 1 more backwards and one contraction
/// follow. Throws Kind::usage with refusal()'s words.
double ideal_bubble(PipelineSchedule schedule, int stages, int chunks, int microbatches);

}  // namespace hearth
