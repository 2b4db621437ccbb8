#include "parallel/flat_group.h"

#include <algorithm>

namespace hearth {

FlatGroup::FlatGroup(std::string name, std::vector<Parameter> parameters, const FlatOptions& options, Mesh& mesh,
                     Ops& ops, Memory& memory, GatherPool& pool, const Tie& tie)
    : name_(std::move(name)),
      parameters_(std::move(parameters)),
      options_(options),
      alone_(make_self_communicator()),
      sums_(mesh.sums()),
      shard_(options.stage == ZeroStage::replicated ? *alone_ : mesh.shard()),
      replicas_(options.stage == ZeroStage::replicated ? mesh.sums() : mesh.replicas()),
      tensor_(mesh.along(Axis::tensor)),
      tie_(tie),
      layout_(parameters_, sums_.size(), shard_.size()),
      residency_(layout_, options),
      ops_(ops),
      memory_(memory),
      pool_(pool),
      own_(layout_.of(sums_.rank())),
      kept_(layout_.kept_by(sums_.rank())),
      accumulators_(static_cast<std::size_t>(options.accumulators)) {
  require(options.compute == Dtype::f32 || options.compute == Dtype::bf16, "weights are computed with in f32 or bf16");
  for (const Parameter& parameter : parameters_) {
    require(parameter.trainable == (options.accumulators > 0),
            "trainable and frozen parameters form groups of their own");
    require(parameter.pieces >= 1 && tensor_.size() % parameter.pieces == 0,
            "a parameter has as many pieces as the tensor axis has ranks, or each piece equally many holders");
  }
  for (const Holding& holding : layout_.holdings) {
    const bool adds = trainable() && holding.copies == Copies::add && holding.pieces < tensor_.size();
    holders_.push_back(adds ? &mesh.holders(holding.pieces) : nullptr);
  }
  place_weights();
  place_state();
  find_pieces();
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
    master_ = whole_.row_slice(kept_.front().begin, kept_.front().count());
  } else {
    master_ = zeros(master_buffer_, residency_.stored, layout_.kept());
  }
  views_.reserve(parameters_.size());
}

void FlatGroup::place_state() {
  if (!trainable()) return;
  first_ = zeros(first_buffer_, Dtype::f32, layout_.kept());
  second_ = zeros(second_buffer_, Dtype::f32, layout_.kept());
  for (Accumulator& accumulator : accumulators_) {
    const bool is_first = &accumulator == &accumulators_.front();
    accumulator.running = zeros(accumulator.running_buffer, Dtype::f32, is_first ? layout_.kept() : layout_.interval);
    accumulator.own = is_first ? accumulator.running.row_slice(own_place(), own_.count()) : accumulator.running;
    if (residency_.direct) {
      accumulator.whole = accumulator.running;
    } else if (!residency_.early) {
      accumulator.whole = zeros(accumulator.microbatch, Dtype::f32, layout_.padded());
    }
    accumulator.views.reserve(parameters_.size());
  }
}

/// Where what this rank owns begins in what it keeps.
std::int64_t FlatGroup::own_place() const {
  return replicas_.rank() * layout_.interval;
}

void FlatGroup::find_pieces() {
  owned_ = pieces_in(own_, own_place());
  std::int64_t at = 0;
  for (const Interval& kept : kept_) {
    for (const Piece& piece : pieces_in(kept, at)) updated_.push_back(piece);
    at += kept.count();
  }
}

/// The pieces in an interval of the layout that begins at `at` of what this rank keeps.
std::vector<FlatGroup::Piece> FlatGroup::pieces_in(Interval flat, std::int64_t at) const {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < layout_.places.size(); ++i) {
    const Interval part = intersect(layout_.places[i], flat);
    if (part.count() == 0) continue;
    const auto cut = [&](In kept) { return kept.row_slice(at + part.begin - flat.begin, part.count()); };
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

std::vector<HeldStretch> FlatGroup::stretches(const Piece& piece) const {
  const Parameter& parameter = parameters_[static_cast<std::size_t>(piece.parameter)];
  return stretches_of(parameter, piece_of(parameter, tensor_.rank(), tensor_.size()),
                      {piece.offset, piece.offset + piece.weight.elements()});
}

void FlatGroup::view_parameters(In flat, std::vector<Tensor>& views) const {
  views.clear();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Interval place = layout_.places[i];
    views.push_back(flat.row_slice(place.begin, place.count()).as(piece_dims(parameters_[i])));
  }
}

void FlatGroup::wrong(const char* what) const {
  fail(Kind::internal, "internal error: group {}: {} (please report this)", name_, what);
}

// ---- weights

/// The masters, rounded to the compute dtype, into their places of whole_.
void FlatGroup::gather_from_masters() {
  std::int64_t at = 0;
  for (const Interval& kept : kept_) {
    const Tensor place = whole_.row_slice(kept.begin, kept.count());
    if (!residency_.aliased) ops_.cast(master_.row_slice(at, kept.count()), place);
    at += kept.count();
  }
  gather_shards();
}

/// What the other shards hold, into its places of whole_.
void FlatGroup::gather_shards() {
  if (layout_.shards == 1) return;
  for (const Interval& kept : kept_) {
    const std::int64_t begin = kept.begin - shard_.rank() * layout_.interval;
    gathers_.push_back(shard_.gather(whole_.row_slice(kept.begin, kept.count()),
                                     whole_.row_slice(begin, layout_.interval * layout_.shards)));
  }
}

void FlatGroup::end_gathers() {
  for (Ticket& gather : gathers_) gather.wait();
  gathers_.clear();
}

void FlatGroup::prefetch() {
  if (state_ != Weights::sharded) wrong("prefetch() of weights that are gathered or being gathered");
  state_ = Weights::gathering;
  if (residency_.whole_weights || layout_.padded() == 0) return;
  weights_buffer_ = pool_.weights.take(residency_.gathered);
  whole_ = weights_buffer_.tensor(options_.compute, {layout_.padded()});
  gather_from_masters();
}

std::span<const Tensor> FlatGroup::whole() {
  if (state_ == Weights::whole) wrong("whole() of weights that are whole already");
  if (state_ == Weights::sharded) prefetch();
  end_gathers();
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
  end_gathers();
  gather_from_masters();
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
  const bool goes_on = residency_.direct || (options_.order == SumOrder::fast && accumulator.state == Filling::parked);
  if (accumulator.state == Filling::parked && !goes_on) add_onto_running(accumulator);
  accumulator.state = Filling::filling;
  if (residency_.early && residency_.gradients > 0) {
    accumulator.microbatch = pool_.gradients.take(residency_.gradients);
    accumulator.whole = accumulator.microbatch.tensor(Dtype::f32, {layout_.padded()});
  }
  if (accumulator.whole && !goes_on) ops_.fill(0, accumulator.whole);
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
  if (layout_.padded() == 0 || residency_.direct) return;
  if (layout_.ranks == 1) {
    ops_.add(accumulator.whole, accumulator.running);
  } else {
    sums_.reduce_scatter(accumulator.whole, accumulator.own, Onto::held).wait();
  }
  if (!residency_.early) return;
  accumulator.whole = Tensor();
  pool_.gradients.give(std::move(accumulator.microbatch));
}

/// Addends of parameters that several ranks of the tensor axis hold, summed over their holders, as far as this rank
/// owns them. They lie at the same places on all holders.
void FlatGroup::add_holders(In own) {
  for (std::size_t i = 0; i < layout_.holdings.size(); ++i) {
    if (holders_[i] == nullptr) continue;
    const Interval part = intersect(layout_.holdings[i].place, own_);
    if (part.count() > 0) holders_[i]->sum(own.row_slice(part.begin - own_.begin, part.count())).wait();
  }
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
  add_holders(first.own);
  if (tie_.with != nullptr) tie_.with->sum(first.own).wait();
  if (layout_.replicas() > 1) replicas_.gather(first.own, first.running).wait();
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
  if (chunks() == 0) return;
  if (!tie_.counted) return ops_.fill(0, sums);
  ops_.squared_norm(accumulators_.front().own, sums);
  for (const Holding& holding : layout_.holdings) {
    const Parameter like{.name = {}, .full = {}, .pieces = holding.pieces};
    if (is_first_holder(like, tensor_.rank(), tensor_.size())) continue;
    const Interval part = intersect(holding.place, own_);
    if (part.count() == 0) continue;
    const std::int64_t first = (part.begin - own_.begin) / norm_chunk;
    const std::int64_t last = (part.end - own_.begin + norm_chunk - 1) / norm_chunk;
    ops_.fill(0, sums.row_slice(first, last - first));
  }
}

bool FlatGroup::counted(int parameter) const {
  return tie_.counted &&
         is_first_holder(parameters_[static_cast<std::size_t>(parameter)], tensor_.rank(), tensor_.size());
}

// ---- filling from outside

Tensor& FlatGroup::flat(Part part) {
  if (part == Part::weight) return master_;
  if (!trainable()) wrong("a frozen group has no moments");
  return part == Part::first_moment ? first_ : second_;
}

const Tensor& FlatGroup::tensor_of(const Piece& piece, Part part) const {
  if (part == Part::weight) return piece.weight;
  return part == Part::first_moment ? piece.first_moment : piece.second_moment;
}

void FlatGroup::read(const Piece& piece, Part part, const Source& source) {
  constexpr std::int64_t at_once = std::int64_t{1} << 20;
  const Parameter& parameter = parameters_[static_cast<std::size_t>(piece.parameter)];
  const Tensor& target = tensor_of(piece, part);
  std::vector<float> staging;
  const auto take = [&](const Stretch& where, const Tensor& place) {
    if (place.dtype == Dtype::f32 && place.unpitched()) return source(parameter, where, place.typed<float>());
    staging.resize(static_cast<std::size_t>(where.elements()));
    source(parameter, where, staging.data());
    ops_.cast(Tensor(staging.data(), Dtype::f32, place.dims), place);
  };
  for (const HeldStretch& held : stretches(piece)) {
    const std::int64_t at = held.at - piece.offset;
    if (held.full.rows == 1) {
      for (std::int64_t first = 0; first < held.full.columns; first += at_once) {
        const std::int64_t count = std::min(at_once, held.full.columns - first);
        take({held.full.begin + first, 1, count, 0}, target.row_slice(at + first, count));
      }
      continue;
    }
    const std::int64_t rows_at_once = std::max<std::int64_t>(1, at_once / held.full.columns);
    for (std::int64_t row = 0; row < held.full.rows; row += rows_at_once) {
      const std::int64_t rows = std::min(rows_at_once, held.full.rows - row);
      const std::int64_t span = (rows - 1) * held.pitch + held.full.columns;
      Tensor place = target.row_slice(at + row * held.pitch, span);
      place.dims = {rows, held.full.columns};
      place.pitch = held.pitch;
      take({held.full.begin + row * held.full.stride, rows, held.full.columns, held.full.stride}, place);
    }
  }
}

void FlatGroup::fill(Part part, const Source& source) {
  if (state_ != Weights::sharded) wrong("fill() of weights that are gathered or being gathered");
  end_gathers();
  const Tensor& kept = flat(part);
  for (const Piece& piece : owned_) read(piece, part, source);
  if (layout_.replicas() > 1 && kept.elements() > 0) {
    replicas_.gather(kept.row_slice(own_place(), own_.count()), kept).wait();
  }
  if (part == Part::weight) publish();
}

}  // namespace hearth
