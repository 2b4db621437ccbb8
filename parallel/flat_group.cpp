#include "parallel/flat_group.h"

#include <algorithm>

namespace hearth {

FlatGroup::FlatGroup(std::string name, std::vector<Parameter> parameters, const FlatOptions& options,
                     Communicator& shard, Communicator& tensor, Ops& ops, Memory& memory, GatherPool& pool)
    : name_(std::move(name)),
      parameters_(std::move(parameters)),
      options_(options),
      layout_(parameters_, shard.size()),
      residency_(layout_, options),
      shard_(shard),
      tensor_(tensor),
      ops_(ops),
      memory_(memory),
      pool_(pool),
      own_(layout_.of(shard.rank())),
      held_(residency_.whole_state ? layout_.whole() : own_),
      accumulators_(static_cast<std::size_t>(options.accumulators)) {
  if (tensor.size() != 1) {
    fail(Kind::usage, "tensor_parallel_size: {}: cut weights are not there yet; use 1", tensor.size());
  }
  require(options.compute == Dtype::f32 || options.compute == Dtype::bf16, "weights are computed with in f32 or bf16");
  for (const Parameter& parameter : parameters_) {
    require(parameter.trainable == (options.accumulators > 0),
            "trainable and frozen parameters form groups of their own");
    require(parameter.pieces == 1, "a parameter has at most as many pieces as the tensor axis has ranks");
  }
  place_weights();
  place_state();
  owned_ = pieces_in(own_);
  updated_ = pieces_in(held_);
}

Tensor FlatGroup::zeros(Buffer& buffer, Dtype dtype, std::int64_t count) {
  if (count == 0) return Tensor(nullptr, dtype, {0}, memory_.device());
  buffer = Buffer(memory_, static_cast<std::size_t>(count) * size_of(dtype));
  const Tensor tensor = buffer.tensor(dtype, {count});
  ops_.fill(0, tensor);
  return tensor;
}

void FlatGroup::place_weights() {
  if (residency_.whole_weights) whole_ = zeros(weights_buffer_, options_.compute, layout_.padded());
  if (residency_.aliased) {
    master_ = whole_.row_slice(held_.begin, held_.count());
  } else {
    master_ = zeros(master_buffer_, residency_.stored, held_.count());
  }
  views_.reserve(parameters_.size());
}

void FlatGroup::place_state() {
  if (!trainable()) return;
  first_ = zeros(first_buffer_, Dtype::f32, held_.count());
  second_ = zeros(second_buffer_, Dtype::f32, held_.count());
  for (Accumulator& accumulator : accumulators_) {
    const bool is_first = &accumulator == &accumulators_.front();
    accumulator.running = zeros(accumulator.running_buffer, Dtype::f32, is_first ? held_.count() : own_.count());
    accumulator.own = own_of(accumulator.running);
    if (!residency_.early) accumulator.whole = zeros(accumulator.microbatch, Dtype::f32, layout_.padded());
    accumulator.views.reserve(parameters_.size());
  }
}

Tensor FlatGroup::own_of(In whole_or_own) const {
  const bool is_whole = whole_or_own.elements() == layout_.padded();
  return whole_or_own.row_slice(is_whole ? own_.begin : 0, own_.count());
}

std::vector<FlatGroup::Piece> FlatGroup::pieces_in(Interval interval) const {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < layout_.places.size(); ++i) {
    const Interval part = intersect(layout_.places[i], interval);
    if (part.count() == 0) continue;
    const auto cut = [&](In held) { return held.row_slice(part.begin - held_.begin, part.count()); };
    Piece piece{static_cast<int>(i), part.begin - layout_.places[i].begin, cut(master_), {}, {}, {}};
    if (trainable()) {
      piece.gradient = cut(accumulators_.front().running);
      piece.first_moment = cut(first_);
      piece.second_moment = cut(second_);
    }
    pieces.push_back(piece);
  }
  return pieces;
}

void FlatGroup::view_parameters(In flat, std::vector<Tensor>& views) const {
  views.clear();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Interval place = layout_.places[i];
    views.push_back(flat.row_slice(place.begin, place.count()).as(parameters_[i].full));
  }
}

void FlatGroup::wrong(const char* what) const {
  fail(Kind::internal, "internal error: group {}: {} (please report this)", name_, what);
}

// ---- weights

void FlatGroup::prefetch() {
  if (state_ != Weights::sharded) wrong("prefetch() of weights that are gathered or being gathered");
  state_ = Weights::gathering;
  if (residency_.whole_weights || layout_.padded() == 0) return;
  weights_buffer_ = pool_.weights.take(residency_.gathered);
  whole_ = weights_buffer_.tensor(options_.compute, {layout_.padded()});
  if (residency_.stored == options_.compute) {
    gather_ = shard_.gather(master_, whole_);
  } else {
    const Tensor own = own_of(whole_);
    ops_.cast(own_of(master_), own);
    gather_ = shard_.gather(own, whole_);
  }
}

std::span<const Tensor> FlatGroup::whole() {
  if (state_ == Weights::whole) wrong("whole() of weights that are whole already");
  if (state_ == Weights::sharded) prefetch();
  gather_.wait();
  state_ = Weights::whole;
  view_parameters(whole_, views_);
  return views_;
}

std::span<const Tensor> FlatGroup::weights() const {
  if (state_ != Weights::whole) wrong("weights() outside whole() and release()");
  return views_;
}

void FlatGroup::release() {
  if (state_ != Weights::whole) wrong("release() of weights that are not whole");
  state_ = Weights::sharded;
  views_.clear();
  if (residency_.whole_weights || layout_.padded() == 0) return;
  whole_ = Tensor();
  pool_.weights.give(std::move(weights_buffer_));
}

void FlatGroup::publish() {
  if (state_ != Weights::sharded) wrong("publish() of weights that are gathered or being gathered");
  if (!residency_.whole_weights || layout_.padded() == 0) return;
  gather_.wait();
  if (residency_.whole_state) {
    if (!residency_.aliased) ops_.cast(master_, whole_);
    return;
  }
  const Tensor own = own_of(whole_);
  if (!residency_.aliased) ops_.cast(master_, own);
  gather_ = shard_.gather(own, whole_);
}

// ---- gradients

FlatGroup::Accumulator& FlatGroup::accumulator_at(int index) {
  if (index < 0 || index >= static_cast<int>(accumulators_.size())) wrong("no such accumulator of gradients");
  return accumulators_[static_cast<std::size_t>(index)];
}

std::span<const Tensor> FlatGroup::begin_gradients(int index) {
  Accumulator& accumulator = accumulator_at(index);
  if (ready_) wrong("begin_gradients() between finish() and reset()");
  if (accumulator.state == Filling::filling) wrong("begin_gradients() before the last microbatch's reduce()");
  if (accumulator.state == Filling::parked) add_onto_running(accumulator);
  accumulator.state = Filling::filling;
  if (residency_.early && residency_.gradients > 0) {
    accumulator.microbatch = pool_.gradients.take(residency_.gradients);
    accumulator.whole = accumulator.microbatch.tensor(Dtype::f32, {layout_.padded()});
  }
  if (accumulator.whole) ops_.fill(0, accumulator.whole);
  view_parameters(accumulator.whole, accumulator.views);
  return accumulator.views;
}

void FlatGroup::reduce(int index) {
  Accumulator& accumulator = accumulator_at(index);
  if (accumulator.state != Filling::filling) wrong("reduce() without begin_gradients()");
  accumulator.state = Filling::parked;
  accumulator.views.clear();
  if (residency_.early) add_onto_running(accumulator);
}

void FlatGroup::add_onto_running(Accumulator& accumulator) {
  accumulator.state = Filling::empty;
  if (layout_.padded() == 0) return;
  if (layout_.ranks == 1) {
    ops_.add(accumulator.whole, accumulator.running);
  } else {
    shard_.reduce_scatter(accumulator.whole, accumulator.own, Onto::held).wait();
  }
  if (!residency_.early) return;
  accumulator.whole = Tensor();
  pool_.gradients.give(std::move(accumulator.microbatch));
}

void FlatGroup::finish() {
  if (!trainable()) wrong("finish() of a frozen group");
  if (ready_) wrong("finish() twice without reset()");
  for (Accumulator& accumulator : accumulators_) {
    if (accumulator.state == Filling::filling) wrong("finish() before the last microbatch's reduce()");
    if (accumulator.state == Filling::parked) add_onto_running(accumulator);
  }
  ready_ = true;
  Accumulator& first = accumulators_.front();
  if (layout_.padded() == 0) return;
  for (std::size_t i = 1; i < accumulators_.size(); ++i) ops_.add(accumulators_[i].own, first.own);
  if (residency_.whole_state && layout_.ranks > 1) shard_.gather(first.own, first.running).wait();
}

void FlatGroup::reset() {
  for (Accumulator& accumulator : accumulators_) {
    if (accumulator.state != Filling::empty) wrong("reset() in the middle of a microbatch");
    if (accumulator.running.elements() > 0) ops_.fill(0, accumulator.running);
  }
  ready_ = false;
}

void FlatGroup::squared_norms(Out sums) const {
  if (!ready_) wrong("squared_norms() before finish()");
  if (chunks() > 0) ops_.squared_norm(accumulators_.front().own, sums);
}

bool FlatGroup::counted(int parameter) const {
  return is_first_holder(parameters_[static_cast<std::size_t>(parameter)], tensor_.rank(), tensor_.size());
}

// ---- filling from outside

Tensor& FlatGroup::flat(Part part) {
  if (part == Part::weight) return master_;
  if (!trainable()) wrong("a frozen group has no moments");
  return part == Part::first_moment ? first_ : second_;
}

const Tensor& FlatGroup::piece_of(const Piece& piece, Part part) const {
  if (part == Part::weight) return piece.weight;
  return part == Part::first_moment ? piece.first_moment : piece.second_moment;
}

void FlatGroup::read(const Piece& piece, Part part, const Source& source) {
  constexpr std::int64_t stretch = std::int64_t{1} << 20;
  const Tensor& target = piece_of(piece, part);
  const Parameter& parameter = parameters_[static_cast<std::size_t>(piece.parameter)];
  std::vector<float> staging;
  for (std::int64_t first = 0; first < target.elements(); first += stretch) {
    const std::int64_t count = std::min(stretch, target.elements() - first);
    const Tensor part_of_it = target.row_slice(first, count);
    const std::int64_t begin = piece.offset + first;
    if (target.dtype == Dtype::f32) {
      source(parameter, begin, begin + count, part_of_it.typed<float>());
      continue;
    }
    staging.resize(static_cast<std::size_t>(count));
    source(parameter, begin, begin + count, staging.data());
    ops_.cast(Tensor(staging.data(), Dtype::f32, {count}), part_of_it);
  }
}

void FlatGroup::fill(Part part, const Source& source) {
  if (state_ != Weights::sharded) wrong("fill() of weights that are gathered or being gathered");
  gather_.wait();
  const Tensor& held = flat(part);
  for (const Piece& piece : owned_) read(piece, part, source);
  if (residency_.whole_state && layout_.ranks > 1) shard_.gather(own_of(held), held).wait();
  if (part == Part::weight) publish();
}

}  // namespace hearth
