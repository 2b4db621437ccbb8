#include "trainer/stage.h"

#include <algorithm>

#include "model/sinks.h"
#include "model/tensor_axis.h"

namespace hearth {

Stage::Stage(const Transformer& model, Groups& groups, Mesh& mesh, Ops& ops, Memory& memory,
             const StageOptions& options)
    : model_(model),
      groups_(groups),
      mesh_(mesh),
      ops_(ops),
      memory_(memory),
      options_(options),
      needed_(stage_scratch(model, options)),
      scratch_(memory),
      kept_memory_(memory),
      alone_(make_self_communicator()) {
  require(model.axes().tensor == mesh.shape().tensor && model.axes().context == mesh.shape().context,
          "a model knows the axes of its mesh");
  require(options.capacity % multiple() == 0, "a stage's capacity is that of padded microbatches");
  if (options_.chunks.empty()) options_.chunks.push_back({0, model.blocks()});
}

Stage::~Stage() = default;

// ---- flights

Flight& Stage::begin(std::int64_t microbatch, const Documents* documents) {
  if (landed_.empty()) {
    const MeshShape& axes = mesh_.shape();
    const std::int64_t capacity = options_.capacity / axes.context;
    const ContextPlace place = {mesh_.along(Axis::context).rank(), axes.context, model_.config().window};
    landed_.push_back(std::unique_ptr<Flight>(
        new Flight(BatchMaker(rotary_of(model_.config()), capacity, options_.compute, ops_, memory_, place),
                   Buffer(memory_, static_cast<std::size_t>(capacity) * sizeof(float)))));
    landed_.back()->chunks_.resize(options_.chunks.size());
  }
  flights_.push_back(std::move(landed_.back()));
  landed_.pop_back();
  Flight& flight = *flights_.back();
  flight.microbatch_ = microbatch;
  flight.idle_ = documents == nullptr;
  if (flight.idle_) return flight;
  flight.batch_ = flight.batches_.make(*documents);
  flight.shape_ = {flight.batch_.tokens.rows(), options_.capacity / mesh_.shape().context};
  flight.losses_ = flight.losses_buffer_.tensor(Dtype::f32, {flight.shape_.tokens});
  for (std::size_t c = 0; c < flight.chunks_.size(); ++c) {
    const auto blocks = static_cast<std::size_t>(body(static_cast<int>(c)).count());
    flight.chunks_[c].values.resize(blocks + 1);
    flight.chunks_[c].activations.resize(blocks);
    flight.chunks_[c].put_off.resize(blocks);
  }
  return flight;
}

void Stage::end(Flight& flight) {
  for (Flight::Chunk& chunk : flight.chunks_) {
    chunk.values.clear();
    chunk.gradient.reset();
    chunk.activations.clear();
    chunk.put_off.clear();
  }
  const auto it = std::find_if(flights_.begin(), flights_.end(), [&](const auto& f) { return f.get() == &flight; });
  require(it != flights_.end(), "a flight ends once");
  landed_.push_back(std::move(*it));
  flights_.erase(it);
}

Interval Stage::body(int chunk) const {
  const Interval blocks = options_.chunks[static_cast<std::size_t>(chunk)];
  return {blocks.begin, is_last(chunk) ? blocks.end - 1 : blocks.end};
}

/// Memory for residual rows: what every block but the head gives.
std::unique_ptr<Kept> Stage::row_memory(const Flight& flight) {
  return std::make_unique<Kept>(kept_memory_, flight.shape_, options_.compute, model_.block(0).out(flight.shape_));
}

Tensor Stage::input(Flight& flight, int chunk) {
  auto& value = flight.chunks_[static_cast<std::size_t>(chunk)].values.front();
  value = row_memory(flight);
  return value->hold();
}

void Stage::forget(Flight& flight, int chunk) {
  if (!flight.idle_) flight.chunks_[static_cast<std::size_t>(chunk)].values.back()->shed();
}

Tensor Stage::output_gradient(Flight& flight, int chunk) {
  auto& gradient = flight.chunks_[static_cast<std::size_t>(chunk)].gradient;
  gradient = row_memory(flight);
  return gradient->hold();
}

// ---- blocks

Pass Stage::pass(int block, GradientSink& sink, std::span<const Tensor> weights, const Batch& batch) {
  return {ops_,
          sink,
          weights,
          scratch_,
          mesh_.along(Axis::tensor),
          mesh_.along(Axis::context),
          *alone_,
          Key().with(model_.block(block).name()),
          batch,
          nullptr};
}

/// The weights of `block`, with those of `next` (none: -1) set on their way before anything is computed.
std::span<const Tensor> Stage::gather(int block, int next) {
  const auto weights = groups_.whole(block);
  if (next >= 0) groups_.prefetch(next);
  return weights;
}

void Stage::forward(Flight& flight, int chunk, bool keep, bool head_next, const Inspect& inspect) {
  const Interval blocks = body(chunk);
  const bool to_head = is_last(chunk) && head_next;
  if (!flight.idle_) scratch_.reserve(keep ? needed_.training : needed_.losses);
  Flight::Chunk& state = flight.chunks_[static_cast<std::size_t>(chunk)];
  IgnoringSink sink;
  Tensor x = is_first(chunk) || flight.idle_ ? flight.batch_.tokens : **state.values.front();
  for (std::int64_t b = blocks.begin; b < blocks.end; ++b) {
    const int i = static_cast<int>(b);
    const auto at = static_cast<std::size_t>(b - blocks.begin);
    const auto weights = gather(i, b + 1 < blocks.end || to_head ? i + 1 : -1);
    if (!flight.idle_) {
      const Block& block = model_.block(i);
      Pass call = pass(i, sink, weights, flight.batch_);
      state.values[at + 1] = row_memory(flight);
      state.activations[at] = block.activations(flight.shape_, options_.compute, kept_memory_);
      const Tensor y = state.values[at + 1]->hold();  // (T / t, D), the next block's x
      block.forward(x, y, *state.activations[at], call);
      if (inspect) inspect(flight.microbatch_, i, "forward", y);
      if (!keep || is_recomputed(model_, options_, i)) state.activations[at]->shed();
      if (!keep && state.values[at]) state.values[at]->shed();
      x = y;
    }
    groups_.release(i);
  }
}

Tensor Stage::output(const Flight& flight, int chunk) const {
  return **flight.chunks_[static_cast<std::size_t>(chunk)].values.back();
}

Tensor Stage::input_gradient(const Flight& flight, int chunk) const {
  return **flight.chunks_[static_cast<std::size_t>(chunk)].gradient;
}

void Stage::head(Flight& flight, int chunk, const Inspect& inspect) {
  const int last = model_.blocks() - 1;
  const auto weights = gather(last, body(chunk).count() > 0 ? last - 1 : -1);
  const auto gradients = groups_.begin_gradients(last);
  if (!flight.idle_) {
    Flight::Chunk& state = flight.chunks_[static_cast<std::size_t>(chunk)];
    const Tensor x = **state.values.back();  // and its gradient afterwards
    state.gradient = std::move(state.values.back());
    AccumulatingSink sink(ops_, gradients);
    Pass call = pass(last, sink, weights, flight.batch_);
    model_.head().loss_and_gradient(x, flight.losses_, x, call);
    sink.join();
    if (inspect) {
      inspect(flight.microbatch_, last, "forward", flight.losses_);
      inspect(flight.microbatch_, last, "gradient", x);
    }
  }
  groups_.release(last);
  groups_.reduce(last);
}

void Stage::block_backward(Flight& flight, int chunk, int i, Contract when, const Inspect& inspect) {
  const Interval blocks = body(chunk);
  Flight::Chunk& state = flight.chunks_[static_cast<std::size_t>(chunk)];
  const auto at = static_cast<std::size_t>(i - blocks.begin);
  const Block& block = model_.block(i);
  const auto weights = gather(i, i > blocks.begin ? i - 1 : -1);
  const Tensor dx = **state.gradient;  // (T / t, D)
  const Tensor x = i == 0 ? flight.batch_.tokens : **state.values[at];
  Activations& kept = *state.activations[at];
  if (kept.is_shed()) {
    IgnoringSink ignoring;
    Pass again = pass(i, ignoring, weights, flight.batch_);
    Scratch scratch(scratch_);
    block.forward(x, scratch.take(options_.compute, dx.dims), kept, again);
  }
  const auto run = [&](GradientSink& sink) {
    Pass call = pass(i, sink, weights, flight.batch_);
    block.backward(x, kept, dx, i == 0 ? Tensor() : dx, call);
    sink.join();
  };
  if (when == Contract::later) {
    state.put_off[at] = std::make_unique<DeferringSink>(ops_, kept_memory_, flight.shape_);
    run(*state.put_off[at]);
  } else {
    AccumulatingSink sink(ops_, groups_.begin_gradients(i));
    run(sink);
  }
  if (inspect && i > 0) inspect(flight.microbatch_, i, "gradient", dx);
  kept.shed();
  if (i > 0) state.values[at]->shed();
  groups_.release(i);
  if (when == Contract::at_once) groups_.reduce(i);
}

void Stage::idle_backward(int chunk, Contract when) {
  const Interval blocks = body(chunk);
  for (auto i = static_cast<int>(blocks.end) - 1; i >= blocks.begin; --i) {
    gather(i, i > blocks.begin ? i - 1 : -1);
    if (when == Contract::at_once) groups_.begin_gradients(i);
    groups_.release(i);
    if (when == Contract::at_once) groups_.reduce(i);
  }
}

void Stage::contract(Flight& flight, int chunk) {
  const Interval blocks = body(chunk);
  for (auto i = static_cast<int>(blocks.end) - 1; i >= blocks.begin; --i) {
    const auto gradients = groups_.begin_gradients(i);
    if (!flight.idle_) {
      auto& put_off = flight.chunks_[static_cast<std::size_t>(chunk)].put_off;
      put_off[static_cast<std::size_t>(i - blocks.begin)]->contract(gradients);
    }
    groups_.reduce(i);
  }
}

void Stage::backward(Flight& flight, int chunk, Contract when, const Inspect& inspect) {
  const Interval blocks = body(chunk);
  if (is_last(chunk)) head(flight, chunk, inspect);
  if (flight.idle_) {
    idle_backward(chunk, when);
    return;
  }
  for (auto i = static_cast<int>(blocks.end) - 1; i >= blocks.begin; --i)
    block_backward(flight, chunk, i, when, inspect);
}

// ---- without backward

void Stage::loss(Flight& flight) {
  const int last = model_.blocks() - 1;
  IgnoringSink sink;
  const auto weights = gather(last, -1);
  if (!flight.idle_) {
    Pass call = pass(last, sink, weights, flight.batch_);
    const auto kept = model_.head().activations(flight.shape_, options_.compute, kept_memory_);
    const Tensor x = **flight.chunks_.back().values.back();
    model_.head().forward(x, flight.losses_.as({flight.losses_.rows(), 1}), *kept, call);
  }
  groups_.release(last);
}

void Stage::logits(Flight& flight, const std::function<void(std::int64_t, In)>& take) {
  const int last = model_.blocks() - 1;
  IgnoringSink sink;
  const auto weights = gather(last, -1);
  if (!flight.idle_) {
    scratch_.reserve(needed_.logits);
    Pass call = pass(last, sink, weights, flight.batch_);
    Scratch whole(scratch_);
    const Tensor x = gather_rows(**flight.chunks_.back().values.back(), whole, call.tensor);  // (T, D)
    for (std::int64_t row = 0; row < x.rows(); row += Head::chunk) {
      const std::int64_t rows = std::min(Head::chunk, x.rows() - row);
      Scratch scratch(scratch_);
      const Tensor some = scratch.take(Dtype::f32, {rows, model_.config().vocabulary});
      model_.head().logits(x.row_slice(row, rows), some, call);
      take(row, some);
    }
  }
  groups_.release(last);
}

}  // namespace hearth
