// A pipeline on paper: the programs of all stages carried out with given times, to see how long a step takes, who
// stands idle, and whether anybody waits forever. Tests hold the schedules to it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "parallel/pipeline_program.h"
#include "parallel/schedule.h"

namespace hearth {

/// What one microbatch takes on one virtual stage, in any unit. Where a list has no contractions, a backward takes
/// `backward + contract`.
struct ActionTimes {
  double forward = 1;
  double backward = 1;
  double contract = 1;
};

struct PipelineTimes {
  std::vector<ActionTimes> virtual_stages;  // p * v of them: chunk c of stage s at c * p + s
  double message = 0;                       // from a send that meets its receive to the arrival
};

/// rendezvous: a message leaves when it was sent and its receive was posted, and its send is done when it arrives.
/// buffered: it leaves when it is sent, and a send is done at once.
enum class Sends { rendezvous, buffered };

struct StageRun {
  std::vector<double> begins;  // of each action of the stage's list that ran
  double busy = 0;             // time spent in actions
  double idle = 0;             // share of the whole step spent otherwise: the bubble of this stage
};

struct PipelineRun {
  std::string trouble;  // empty: every action ran. Else who waits for what, or what is out of order
  double finish = 0;    // when the last action ends
  double idle = 0;      // share of all stages' time spent idle: the bubble
  std::vector<StageRun> stages;
};

/// lists: the actions of each stage, by stage.    REQUIRES: times.virtual_stages.size() is a multiple of lists.size().
/// Lists may be anything: trouble is told, not thrown.
PipelineRun simulate(std::span<const std::vector<Action>> lists, const PipelineTimes& times, Sends sends);

}  // namespace hearth
