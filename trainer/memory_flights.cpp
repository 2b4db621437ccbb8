// Microbatches between their forward and their backward: what a stage of the pipeline holds of them at once.
#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "model/statistics.h"
#include "parallel/pipeline_program.h"
#include "trainer/memory_parts.h"
#include "trainer/stage_scratch.h"

namespace hearth {

namespace {

/// The distinct sizes of what a microbatch holds: a handful, since layers are alike.
class Sizes {
 public:
  static constexpr std::size_t most = 16;

  std::size_t place_of(std::size_t bytes) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (bytes_[i] == bytes) return i;
    }
    require(count_ < most, "blocks keep tensors of few sizes");
    bytes_[count_] = bytes;
    return count_++;
  }
  std::size_t bytes(std::size_t place) const { return bytes_[place]; }

 private:
  std::array<std::size_t, most> bytes_{};
  std::size_t count_ = 0;
};

/// How many tensors of each size; equal sizes are handed round, and nothing is given back to the memory.
struct Counts {
  std::array<std::int32_t, Sizes::most> of{};

  void add(const Counts& other, std::int32_t times) {
    for (std::size_t i = 0; i < of.size(); ++i) of[i] += times * other.of[i];
  }
  void raise_to(const Counts& other) {
    for (std::size_t i = 0; i < of.size(); ++i) of[i] = std::max(of[i], other.of[i]);
  }
  std::size_t bytes(const Sizes& sizes) const {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < of.size(); ++i) sum += static_cast<std::size_t>(of[i]) * Memory::room(sizes.bytes(i));
    return sum;
  }
};

/// What each kind of block keeps and puts off, counted by size.
struct KindCounts {
  explicit KindCounts(const PlannedModel& model) : row(sizes.place_of(model.row_bytes())) {
    for (const BlockKind kind : block_kinds) {
      const auto at = static_cast<std::size_t>(kind);
      for (const std::size_t size : model.of(kind).kept) ++kept[at].of[sizes.place_of(size)];
      for (const std::size_t size : model.of(kind).put_off) ++put_off[at].of[sizes.place_of(size)];
    }
  }
  Sizes sizes;
  std::size_t row;  // the place of rows of the residual stream
  std::array<Counts, block_kinds.size()> kept, put_off;
};

/// One microbatch in one chunk; its input, what it gives and the gradient of that apart.
struct ChunkCounts {
  Counts forward;         // the most of each size during its forward, what it gives included
  Counts between;         // from there to its backward: what blocks keep, and the inputs of all but the first
  Counts backward;        // the most of each size during its backward
  Counts put_off;         // after a backward that contracts later
  std::int32_t rows = 0;  // of the residual stream, in `between`
  bool first = false;     // its input are tokens
  bool last = false;      // the head is in it
};

ChunkCounts counts_of(const PlannedModel& model, const PlannedLayout& layout, const KindCounts& kinds,
                      const Interval& chunk) {
  ChunkCounts counts;
  counts.first = chunk.begin == 0;
  counts.last = chunk.end == model.blocks();
  const StageOptions recomputation = {.recompute = layout.recompute};
  const std::int64_t end = counts.last ? chunk.end - 1 : chunk.end;  // the head keeps nothing
  const auto kind = [&](std::int64_t b) { return static_cast<std::size_t>(model.kind_of(static_cast<int>(b))); };
  const auto forgets = [&](std::int64_t b) { return is_recomputed(model.model(), recomputation, static_cast<int>(b)); };
  Counts now;
  for (std::int64_t b = chunk.begin; b < end; ++b) {
    ++now.of[kinds.row];
    now.add(kinds.kept[kind(b)], 1);
    counts.forward.raise_to(now);
    if (forgets(b)) now.add(kinds.kept[kind(b)], -1);
  }
  if (end > chunk.begin) --now.of[kinds.row];  // what it gives
  counts.between = now;
  counts.rows = now.of[kinds.row];
  for (std::int64_t b = chunk.begin; b < end; ++b) {
    if (!forgets(b)) counts.rows -= kinds.kept[kind(b)].of[kinds.row];  // tensors that are as large by chance
  }
  const bool splits = layout.schedule == PipelineSchedule::zero_bubble;
  for (std::int64_t b = end; b-- > chunk.begin;) {
    if (forgets(b)) now.add(kinds.kept[kind(b)], 1);
    if (splits) {
      now.add(kinds.put_off[kind(b)], 1);
      counts.put_off.add(kinds.put_off[kind(b)], 1);
    }
    counts.backward.raise_to(now);
    now.add(kinds.kept[kind(b)], -1);
    if (b > chunk.begin) --now.of[kinds.row];
  }
  return counts;
}

/// Carries out one stage's program in sizes, as Pipeline and Stage do in tensors.
class Flights {
 public:
  Flights(const PlannedModel& model, const PlannedLayout& layout, int stage, const KindCounts& kinds)
      : kinds_(kinds), splits_(layout.schedule == PipelineSchedule::zero_bubble) {
    for (const Interval& chunk : layout.chunks_of(stage)) chunks_.push_back(counts_of(model, layout, kinds_, chunk));
  }

  /// How many tensors of each size were there at the peak.
  struct Peaks {
    Counts most;     // at any time
    Counts between;  // between instructions
    std::int32_t rows = 0;
    std::size_t flights = 0;  // under way at once
  };

  Peaks run(std::span<const Instruction> program) {
    int ran = -1;  // the microbatch of the last action: it lands once its output is sent
    for (const Instruction& instruction : program) {
      const Action& action = instruction.action;
      if (instruction.verb != Instruction::Verb::send && ran >= 0) land_if_done(std::exchange(ran, -1));
      switch (instruction.verb) {
        case Instruction::Verb::post:  // memory for what comes: an input, or a gradient
          hold_rows(flight(action.microbatch), 1);
          break;
        case Instruction::Verb::wait:
          break;
        case Instruction::Verb::run:
          compute(action);
          ran = action.microbatch;
          break;
        case Instruction::Verb::send:
          send(action);
          break;
      }
      look();
    }
    return {most_, between_, most_rows_, most_flights_};
  }

 private:
  struct Flight {
    int microbatch = 0;
    int chunks_left = 0;
    std::int32_t rows = 0;  // inputs, outputs and gradients of chunks
  };
  struct Sent {
    int microbatch = -1;
    int chunk = 0;
  };

  Flight& flight(int microbatch) {
    for (Flight& known : flights_) {
      if (known.microbatch == microbatch) return known;
    }
    flights_.push_back({microbatch, static_cast<int>(chunks_.size()), 0});
    most_flights_ = std::max(most_flights_, flights_.size());
    return flights_.back();
  }
  void hold_rows(Flight& flight, std::int32_t count) {
    flight.rows += count;
    rows_ += count;
    now_.of[kinds_.row] += count;
  }
  void look() {
    most_.raise_to(now_);
    between_.raise_to(now_);
    most_rows_ = std::max(most_rows_, rows_);
  }
  void land_if_done(int microbatch) {
    const auto found = std::find_if(flights_.begin(), flights_.end(),
                                    [&](const Flight& known) { return known.microbatch == microbatch; });
    if (found->chunks_left > 0 || sent_gradients_ == microbatch) return;
    if (sent_.microbatch == microbatch) sent_.microbatch = -1;
    hold_rows(*found, -found->rows);
    flights_.erase(found);
  }
  /// The activations that were sent last have arrived.
  void forget() {
    if (sent_.microbatch >= 0) hold_rows(flight(sent_.microbatch), -1);
    sent_.microbatch = -1;
  }

  void send(const Action& action) {
    if (action.what == Do::forward) {
      forget();
      sent_ = {action.microbatch, action.chunk};
      return;
    }
    const int before = std::exchange(sent_gradients_, action.microbatch);
    if (before >= 0 && before != action.microbatch) land_if_done(before);
  }

  void compute(const Action& action) {
    const ChunkCounts& chunk = chunks_[static_cast<std::size_t>(action.chunk)];
    Flight& mine = flight(action.microbatch);
    Counts during = now_;
    switch (action.what) {
      case Do::forward:
        during.add(chunk.forward, 1);
        most_.raise_to(during);
        now_.add(chunk.between, 1);
        rows_ += chunk.rows;
        hold_rows(mine, 1);  // what it gives: of the last chunk, what the head turns into its gradient
        return;
      case Do::backward:
        now_.add(chunk.between, -1);
        rows_ -= chunk.rows;
        during = now_;
        during.add(chunk.backward, 1);
        most_.raise_to(during);
        now_.add(chunk.put_off, 1);
        if (!chunk.first) hold_rows(mine, -1);  // its input
        if (!splits_) --mine.chunks_left;
        return;
      case Do::contract:
        now_.add(chunk.put_off, -1);
        --mine.chunks_left;
        return;
    }
  }

  const KindCounts& kinds_;
  bool splits_;
  std::vector<ChunkCounts> chunks_;
  std::deque<Flight> flights_;
  Sent sent_;
  int sent_gradients_ = -1;
  Counts now_, most_, between_;
  std::int32_t rows_ = 0;
  std::int32_t most_rows_ = 0;
  std::size_t most_flights_ = 0;
};

/// BatchMaker and the losses of one microbatch.
std::size_t batch_bytes(const PlannedModel& model) {
  const auto tokens = static_cast<std::size_t>(model.tokens());
  const auto half = static_cast<std::size_t>(model.config().head_width / 2);
  const auto ranks = static_cast<std::size_t>(model.axes().context);
  const std::size_t column = Memory::room(tokens * sizeof(std::int32_t));  // tokens, targets, weights, ..., losses
  const std::size_t ranges = Memory::room(2 * ranks * tokens * sizeof(std::int32_t));
  const std::size_t table = Memory::room(tokens * half * size_of(statistics_of(model.compute())));
  return Memory::room(half * sizeof(float)) + 6 * column + ranges + 2 * table;
}

/// Microbatches after which a stage has held all that it ever holds at once.
int enough_microbatches(const PlannedLayout& layout, int stage) {
  const int stages = layout.mesh.pipe;
  int some = stages + 4;
  if (layout.schedule == PipelineSchedule::one_f_one_b) some -= stage;
  if (layout.schedule == PipelineSchedule::interleaved) some = 3 * stages;
  return std::min(layout.rounds_of_schedule(), some);
}

Flights::Peaks peaks_of(const PlannedModel& model, const PlannedLayout& layout, int stage, const KindCounts& kinds) {
  const int stages = layout.mesh.pipe;
  const std::vector<Action> actions =
      actions_of(layout.schedule, stage, stages, layout.chunks, enough_microbatches(layout, stage));
  return Flights(model, layout, stage, kinds).run(program_of(actions, stage, {stages, layout.chunks}));
}

}  // namespace

/// Sizes themselves do not matter to counts, only which of them are equal: the same on nearly all meshes.
struct FlightTable::Known {
  struct Model {
    KindCounts kinds;
    int pattern = 0;  // of its counts by size
  };
  std::map<const PlannedModel*, Model> models;
  std::map<std::vector<std::int32_t>, int> patterns;
  std::map<std::vector<std::int64_t>, Flights::Peaks> peaks;

  const Model& of(const PlannedModel& model) {
    const auto found = models.find(&model);
    if (found != models.end()) return found->second;
    Model made{KindCounts(model)};
    std::vector<std::int32_t> counts{static_cast<std::int32_t>(made.kinds.row)};
    for (const auto* all : {&made.kinds.kept, &made.kinds.put_off}) {
      for (const Counts& one : *all) counts.insert(counts.end(), one.of.begin(), one.of.end());
    }
    made.pattern = patterns.try_emplace(std::move(counts), static_cast<int>(patterns.size())).first->second;
    return models.emplace(&model, made).first->second;
  }
};

FlightTable::FlightTable() : known_(std::make_unique<Known>()) {}
FlightTable::~FlightTable() = default;

void add_flights(const PlannedModel& model, const PlannedLayout& layout, int stage, FlightTable& table,
                 MemoryPlan& plan) {
  FlightTable::Known& known = *table.known_;
  const auto& [kinds, pattern] = known.of(model);
  std::vector<std::int64_t> key = {pattern, static_cast<std::int64_t>(layout.schedule), layout.mesh.pipe,
                                   stage,   enough_microbatches(layout, stage),         layout.recompute};
  for (const Interval& chunk : layout.chunks_of(stage)) key.insert(key.end(), {chunk.begin, chunk.end});
  auto found = known.peaks.find(key);
  if (found == known.peaks.end()) {
    found = known.peaks.emplace(std::move(key), peaks_of(model, layout, stage, kinds)).first;
  }
  const Flights::Peaks& peaks = found->second;
  const std::size_t most = peaks.most.bytes(kinds.sizes);
  const std::size_t between = peaks.between.bytes(kinds.sizes);
  plan.inputs = static_cast<std::size_t>(peaks.rows) * Memory::room(kinds.sizes.bytes(kinds.row));
  plan.kept = between - plan.inputs;
  (layout.recompute > 0 ? plan.recomputed : plan.inputs) += most - between;
  plan.batch = peaks.flights * batch_bytes(model);
}

}  // namespace hearth
