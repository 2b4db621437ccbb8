// Microbatches through the stages of a pipeline: the switch that executes a stage's program
// (parallel/pipeline_program.h), and what passes between neighbours. One stage is a pipeline too.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "parallel/pipeline_program.h"
#include "trainer/stage.h"

namespace hearth {

class Pipeline {
 public:
  Pipeline(Stage& stage, Mesh& mesh, PipelineSchedule schedule);

  /// The documents of a microbatch of this data rank; nothing: none in this round. The same on all stages.
  using Source = std::function<std::optional<Documents>(std::int64_t microbatch)>;
  /// This context rank's rows of a microbatch that was not idle, on the last stage alone.
  using Take = std::function<void(std::int64_t microbatch, In losses)>;

  /// Forward and backward of `count` microbatches in the order of the schedule; gradients on their owners, but for
  /// finish(). Where the schedule wants a multiple, idle microbatches are added.
  void run(std::int64_t count, const Source& source, const Take& take, const Inspect& inspect = {});
  /// Asked before each microbatch of those below, on every rank; they must answer alike. False ends the call at once.
  using GoOn = std::function<bool(std::int64_t microbatch)>;
  /// Losses alone. Returns whether all were taken; without `go_on` they are.
  bool evaluate(std::int64_t count, const Source& source, const Take& take, const GoOn& go_on = {});
  /// Logits alone: `rows` (rows, V), f32, begin at row `first` of those of this context rank; on the last stage alone.
  /// Returns as evaluate() does.
  bool logits(std::int64_t count, const Source& source,
              const std::function<void(std::int64_t microbatch, std::int64_t first, In rows)>& take,
              const GoOn& go_on = {});

  Stage& stage() { return stage_; }
  Mesh& mesh() { return mesh_; }
  /// By row of this context rank's, its place in a microbatch of `tokens` tokens; from `tokens` on: padding.
  std::vector<std::int64_t> places_of(std::int64_t tokens) const;

 private:
  /// The last message that went out, and whose memory it reads.
  struct Sent {
    Ticket ticket;
    Flight* flight = nullptr;
    int chunk = 0;
  };
  /// What a call of run() was given.
  struct Run {
    const Source& source;
    const Take& take;
    const Inspect& inspect;
    std::int64_t count;
  };
  Flight& flight_of(std::int64_t microbatch, const Run& run);
  void land_if_done(Flight& flight);
  void post(const Action& action, const Run& run);
  void wait(const Action& action, const Run& run);
  void compute(const Action& action, bool head_next, const Run& run);
  void send(const Action& action, const Run& run);
  void settle_activations();
  void settle_gradients();
  Flight& through(std::int64_t microbatch, const Run& run);

  Stage& stage_;
  Mesh& mesh_;
  PipelineSchedule schedule_;
  struct UnderWay {
    Flight* flight = nullptr;
    int chunks_left = 0;  // whose last action is to come
  };
  std::map<std::int64_t, UnderWay> under_way_;  // by microbatch
  std::deque<Ticket> activations_, gradients_;  // on their way in, in the order of their channel
  Sent sent_activations_, sent_gradients_;
};

}  // namespace hearth
