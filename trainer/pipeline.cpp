#include "trainer/pipeline.h"

namespace hearth {

Pipeline::Pipeline(Stage& stage, Mesh& mesh, PipelineSchedule schedule)
    : stage_(stage), mesh_(mesh), schedule_(schedule) {}

std::vector<std::int64_t> Pipeline::places_of(std::int64_t tokens) const {
  Communicator& context = mesh_.along(Axis::context);
  const std::int64_t multiple = stage_.multiple();
  std::vector<std::int64_t> places;
  for (const Interval& rows :
       context_rows((tokens + multiple - 1) / multiple * multiple, context.rank(), context.size())) {
    for (std::int64_t row = rows.begin; row < rows.end; ++row) places.push_back(row);
  }
  return places;
}

/// The microbatch's flight, begun where this is its first action.
Flight& Pipeline::flight_of(std::int64_t microbatch, const Run& run) {
  UnderWay& under = under_way_[microbatch];
  if (under.flight != nullptr) return *under.flight;
  std::optional<Documents> documents;
  if (microbatch < run.count) documents = run.source(microbatch);
  if (documents) pad_to(*documents, stage_.multiple());
  under.flight = &stage_.begin(microbatch, documents ? &*documents : nullptr);
  under.chunks_left = stage_.chunks();
  return *under.flight;
}

void Pipeline::land_if_done(Flight& flight) {
  const auto under = under_way_.find(flight.microbatch());
  if (under->second.chunks_left > 0 || sent_gradients_.flight == &flight) return;
  if (sent_activations_.flight == &flight) settle_activations();  // they arrived: their gradient came back
  under_way_.erase(under);
  stage_.end(flight);
}

// ---- messages

void Pipeline::settle_activations() {
  if (sent_activations_.flight == nullptr) return;
  sent_activations_.ticket.wait();
  stage_.forget(*sent_activations_.flight, sent_activations_.chunk);
  sent_activations_.flight = nullptr;
}

void Pipeline::settle_gradients() {
  if (sent_gradients_.flight == nullptr) return;
  sent_gradients_.ticket.wait();
  land_if_done(*std::exchange(sent_gradients_.flight, nullptr));
}

/// Memory for what the action reads, and the receive into it.
void Pipeline::post(const Action& action, const Run& run) {
  Flight& flight = flight_of(action.microbatch, run);
  if (flight.idle()) return;
  if (action.what == Do::forward) {
    activations_.push_back(mesh_.edges().activations_in->receive(stage_.input(flight, action.chunk), 0));
  } else {
    gradients_.push_back(mesh_.edges().gradients_in->receive(stage_.output_gradient(flight, action.chunk), 1));
  }
}

void Pipeline::wait(const Action& action, const Run& run) {
  if (flight_of(action.microbatch, run).idle()) return;
  std::deque<Ticket>& posted = action.what == Do::forward ? activations_ : gradients_;
  posted.front().wait();
  posted.pop_front();
}

void Pipeline::send(const Action& action, const Run& run) {
  Flight& flight = flight_of(action.microbatch, run);
  if (flight.idle()) return;
  if (action.what == Do::forward) {
    settle_activations();
    sent_activations_ = {mesh_.edges().activations_out->send(stage_.output(flight, action.chunk), 1), &flight,
                         action.chunk};
  } else {
    sent_gradients_.ticket.wait();
    Flight* before = sent_gradients_.flight;
    sent_gradients_ = {mesh_.edges().gradients_out->send(stage_.input_gradient(flight, action.chunk), 0), &flight,
                       action.chunk};
    if (before != nullptr) land_if_done(*before);
  }
}

void Pipeline::compute(const Action& action, bool head_next, const Run& run) {
  Flight& flight = flight_of(action.microbatch, run);
  const bool splits = schedule_ == PipelineSchedule::zero_bubble;
  switch (action.what) {
    case Do::forward:
      stage_.forward(flight, action.chunk, true, head_next, run.inspect);
      return;
    case Do::backward:
      stage_.backward(flight, action.chunk, splits ? Contract::later : Contract::at_once, run.inspect);
      if (stage_.is_last(action.chunk) && !flight.idle()) run.take(flight.microbatch(), flight.losses());
      if (splits) return;
      break;
    case Do::contract:
      stage_.contract(flight, action.chunk);
      break;
  }
  --under_way_.at(action.microbatch).chunks_left;
}

void Pipeline::run(std::int64_t count, const Source& source, const Take& take, const Inspect& inspect) {
  Communicator& pipe = mesh_.along(Axis::pipe);
  const Run run{source, take, inspect, count};
  const int multiple = schedule_ == PipelineSchedule::interleaved ? pipe.size() : 1;
  const auto microbatches = static_cast<int>((count + multiple - 1) / multiple * multiple);
  const std::vector<Action> actions = actions_of(schedule_, pipe.rank(), pipe.size(), stage_.chunks(), microbatches);
  const PipelineShape shape = {pipe.size(), stage_.chunks()};
  auto next = actions.begin();
  Flight* ran = nullptr;  // by the last action: it lands once its output is sent
  for (const Instruction& instruction : program_of(actions, pipe.rank(), shape)) {
    const Action& action = instruction.action;
    if (instruction.verb != Instruction::Verb::send && ran != nullptr) land_if_done(*std::exchange(ran, nullptr));
    switch (instruction.verb) {
      case Instruction::Verb::post:
        post(action, run);
        break;
      case Instruction::Verb::wait:
        wait(action, run);
        break;
      case Instruction::Verb::run:
        ++next;
        compute(action, next != actions.end() && *next == Action{Do::backward, action.microbatch, action.chunk}, run);
        ran = &flight_of(action.microbatch, run);
        break;
      case Instruction::Verb::send:
        send(action, run);
        break;
    }
  }
  if (ran != nullptr) land_if_done(*ran);
  settle_activations();
  settle_gradients();
  require(under_way_.empty() && activations_.empty() && gradients_.empty(), "a schedule leaves nothing under way");
}

// ---- without backward

/// One microbatch forward through this stage's chunks.
Flight& Pipeline::through(std::int64_t microbatch, const Run& run) {
  Flight& flight = flight_of(microbatch, run);
  for (int chunk = 0; chunk < stage_.chunks(); ++chunk) {
    if (!stage_.is_first(chunk) && !flight.idle()) {
      mesh_.edges().activations_in->receive(stage_.input(flight, chunk), 0).wait();
    }
    stage_.forward(flight, chunk, false, true, run.inspect);
    if (!stage_.is_last(chunk)) send({Do::forward, static_cast<int>(microbatch), chunk}, run);
  }
  return flight;
}

bool Pipeline::evaluate(std::int64_t count, const Source& source, const Take& take, const GoOn& go_on) {
  const Inspect nothing;
  const Run run{source, take, nothing, count};
  for (std::int64_t m = 0; m < count; ++m) {
    if (go_on && !go_on(m)) return false;
    Flight& flight = through(m, run);
    if (stage_.is_last(stage_.chunks() - 1)) {
      stage_.loss(flight);
      if (!flight.idle()) take(m, flight.losses());
    }
    settle_activations();
    under_way_.erase(m);
    stage_.end(flight);
  }
  return true;
}

bool Pipeline::logits(std::int64_t count, const Source& source,
                      const std::function<void(std::int64_t, std::int64_t, In)>& take, const GoOn& go_on) {
  const Take none;
  const Inspect nothing;
  const Run run{source, none, nothing, count};
  for (std::int64_t m = 0; m < count; ++m) {
    if (go_on && !go_on(m)) return false;
    Flight& flight = through(m, run);
    if (stage_.is_last(stage_.chunks() - 1)) {
      stage_.logits(flight, [&](std::int64_t first, In rows) { take(m, first, rows); });
    }
    settle_activations();
    under_way_.erase(m);
    stage_.end(flight);
  }
  return true;
}

}  // namespace hearth
