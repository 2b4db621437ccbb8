#include "parallel/mpi_rounds.h"

#include <algorithm>
#include <cstring>

#include "parallel/ordered_sum.h"
#include "parallel/stream_copy.h"

namespace hearth::mpi {

namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;       // of a large operation, before others get their turn
constexpr std::size_t whole_sum_bytes = std::size_t{64} << 10;  // sums of at most this are made on every rank
constexpr std::size_t block_bytes = std::size_t{1} << 20;       // of a large sum: what all ranks touch stays cached

std::byte* plus(void* place, std::size_t bytes) {
  return static_cast<std::byte*>(place) + bytes;
}

}  // namespace

// ---- offers

OfferTask::OfferTask(std::shared_ptr<Rings> rings, Operation operation, In offered, std::size_t slotted)
    : RoundTask(std::move(rings), {.operation = operation, .dtype = offered.dtype, .bytes = offered.bytes()}),
      offered_(offered) {
  rings_->choose(offered, slotted, label_);
}

bool OfferTask::fill(std::int64_t) {
  if (label_.via == Via::slot) put(rings_->slot());
  return true;
}

bool OfferTask::drain(std::int64_t) {
  if (offers_.empty() && !meet()) {
    instead_ = by_messages();
    return true;
  }
  return read();
}

bool OfferTask::meet() {
  offers_.resize(static_cast<std::size_t>(rings_->size()));
  for (int peer = 0; peer < rings_->size(); ++peer) {
    const Label& label = rings_->label_of(peer);
    const std::byte*& offer = offers_[static_cast<std::size_t>(peer)];
    if (label.via == Via::messages) return false;
    offer = label.via == Via::slot ? rings_->slot_of(peer) : rings_->memory_of(peer, label.source);
  }
  offers_[static_cast<std::size_t>(rings_->rank())] = static_cast<const std::byte*>(offered_.data);
  return true;
}

bool OfferTask::settle() {
  if (instead_ != nullptr) return instead_->advance() == Progress::done;
  return label_.via == Via::slot || others_have_drained();
}

// ---- gather

GatherTask::GatherTask(std::shared_ptr<Rings> rings, const Channel& channel, In mine, Out all)
    : OfferTask(std::move(rings), Operation::gather, mine, mine.bytes()), channel_(channel), mine_(mine), all_(all) {}

void GatherTask::put(std::byte* slot) {
  std::memcpy(slot, mine_.data, mine_.bytes());
}

bool GatherTask::read() {
  const std::size_t whole = mine_.bytes();
  const int ranks = rings_->size();
  for (std::size_t moved = 0; moved < piece_bytes && step_ < ranks;) {
    const int peer = (rings_->rank() + step_) % ranks;
    const std::size_t bytes = std::min(piece_bytes, whole - done_);
    copy_part(all_.bytes(), offers_[static_cast<std::size_t>(peer)] + done_,
              plus(element_at(all_, peer * mine_.elements()), done_), bytes);
    moved += bytes;
    done_ += bytes;
    if (done_ < whole) continue;
    done_ = 0;
    ++step_;
  }
  return step_ == ranks;
}

std::shared_ptr<Task> GatherTask::by_messages() {
  return gather_by_messages(channel_, mine_, all_);
}

// ---- reduce_scatter

ScatterTask::ScatterTask(std::shared_ptr<Rings> rings, const Channel& channel, Staging& staging, In all, Out mine,
                         Onto onto)
    : OfferTask(std::move(rings), Operation::reduce_scatter, all, all.bytes() - mine.bytes()),
      channel_(channel),
      staging_(staging),
      all_(all),
      mine_(mine),
      onto_(onto),
      stores_(onto == Onto::nothing && mine.bytes() >= stream_bytes ? Stores::streamed : Stores::cached),
      addends_(static_cast<std::size_t>(rings_->size())) {}

// The others' parts, in rank order; this rank's own stays where it is.
void ScatterTask::put(std::byte* slot) {
  const auto before = static_cast<std::size_t>(rings_->rank()) * mine_.bytes();
  std::memcpy(slot, all_.data, before);
  std::memcpy(slot + before, plus(all_.data, before + mine_.bytes()), all_.bytes() - before - mine_.bytes());
}

bool ScatterTask::read() {
  const auto piece = static_cast<std::int64_t>(piece_bytes / size_of(mine_.dtype));
  const std::int64_t count = std::min(piece, mine_.elements() - done_);
  const std::size_t done_bytes = static_cast<std::size_t>(done_) * size_of(mine_.dtype);
  for (int peer = 0; peer < rings_->size(); ++peer) {
    const int part = in_slot(peer) && rings_->rank() > peer ? rings_->rank() - 1 : rings_->rank();
    addends_[static_cast<std::size_t>(peer)] =
        offers_[static_cast<std::size_t>(peer)] + static_cast<std::size_t>(part) * mine_.bytes() + done_bytes;
  }
  sum_in_rank_order(mine_.dtype, addends_, onto_, count, element_at(mine_, done_), stores_);
  done_ += count;
  return done_ == mine_.elements();
}

std::shared_ptr<Task> ScatterTask::by_messages() {
  return reduce_scatter_by_messages(channel_, staging_, all_, mine_, onto_);
}

// ---- sum

// What is read while others still sum cannot be summed in place: a small sum is put into the slot, a large one never.
SumTask::SumTask(std::shared_ptr<Rings> rings, const Channel& channel, Staging& staging, Out in_out)
    : OfferTask(std::move(rings), Operation::sum, in_out, in_out.bytes() <= whole_sum_bytes ? 0 : ~std::size_t{0}),
      channel_(channel),
      staging_(staging),
      in_out_(in_out),
      addends_(static_cast<std::size_t>(rings_->size())) {
  undecided_ = label_.via != Via::slot;
}

void SumTask::put(std::byte* slot) {
  std::memcpy(slot, in_out_.data, in_out_.bytes());
}

bool SumTask::read() {
  if (label_.via == Via::slot) {
    std::copy(offers_.begin(), offers_.end(), addends_.begin());
    sum_in_rank_order(in_out_.dtype, addends_, Onto::nothing, in_out_.elements(), in_out_.data);
  } else {
    const auto bytes = static_cast<std::int64_t>(in_out_.bytes());
    rounds_ = 1 + (bytes + static_cast<std::int64_t>(block_bytes) - 1) / static_cast<std::int64_t>(block_bytes);
  }
  return true;
}

Interval SumTask::interval(std::int64_t block, int rank) const {
  const auto whole = static_cast<std::int64_t>(block_bytes / size_of(in_out_.dtype));
  const std::int64_t begin = block * whole;
  const Interval part = even_interval(std::min(whole, in_out_.elements() - begin), rank, rings_->size());
  return {begin + part.begin, begin + part.end};
}

// Nobody but this rank writes its interval, and nobody takes sums from there before they are made.
bool SumTask::fill(std::int64_t round) {
  if (round == 0) return OfferTask::fill(round);
  const Interval mine = interval(round - 1, rings_->rank());
  const std::size_t offset = static_cast<std::size_t>(mine.begin) * size_of(in_out_.dtype);
  for (std::size_t peer = 0; peer < offers_.size(); ++peer) addends_[peer] = offers_[peer] + offset;
  sum_in_rank_order(in_out_.dtype, addends_, Onto::nothing, mine.count(), element_at(in_out_, mine.begin));
  return true;
}

bool SumTask::drain(std::int64_t round) {
  if (round == 0) {
    const bool read = OfferTask::drain(round);
    undecided_ = false;
    return read;
  }
  for (int step = 1; step < rings_->size(); ++step) {
    const int peer = (rings_->rank() + step) % rings_->size();
    const Interval theirs = interval(round - 1, peer);
    const std::size_t element = size_of(in_out_.dtype);
    copy_part(in_out_.bytes(),
              offers_[static_cast<std::size_t>(peer)] + static_cast<std::size_t>(theirs.begin) * element,
              element_at(in_out_, theirs.begin), static_cast<std::size_t>(theirs.count()) * element);
  }
  return true;
}

std::shared_ptr<Task> SumTask::by_messages() {
  return std::make_shared<LargeSumTask>(channel_, staging_, in_out_);
}

// ---- exchange

ExchangeTask::ExchangeTask(std::shared_ptr<Rings> rings, const Channel& channel, In rows,
                           std::span<const std::int64_t> to, Out received, std::span<const std::int64_t> from)
    : RoundTask(std::move(rings), {.operation = Operation::exchange, .dtype = rows.dtype}),
      channel_(channel),
      rows_(rows),
      received_(received) {
  label_.bytes = static_cast<std::size_t>(rows.row_elements()) * size_of(rows.dtype);
  const auto parts_of = [&](std::span<const std::int64_t> counts) {
    std::vector<Part> parts;
    std::uint64_t offset = 0;
    for (const std::int64_t count : counts) {
      parts.push_back({offset, static_cast<std::uint64_t>(count) * label_.bytes});
      offset += parts.back().bytes;
    }
    return parts;
  };
  sent_ = parts_of(to);
  taken_ = parts_of(from);
  rings_->choose(rows, sent_.size() * sizeof(Part) + rows.bytes(), label_);
}

// The slot begins with where everybody's part lies: in the slot behind it, or from the source on.
bool ExchangeTask::fill(std::int64_t) {
  const std::size_t table = sent_.size() * sizeof(Part);
  std::memcpy(rings_->slot(), sent_.data(), table);
  if (label_.via == Via::slot) copy_bytes(rows_.data, rings_->slot() + table, rows_.bytes());
  if (label_.via != Via::messages) return true;
  for (int peer = 0; peer < rings_->size(); ++peer) {
    const Part part = sent_[static_cast<std::size_t>(peer)];
    if (peer != rings_->rank()) transfers_.send(channel_, plus(rows_.data, part.offset), part.bytes, peer);
  }
  return true;
}

void ExchangeTask::locate(int peer) {
  const Part taken = taken_[static_cast<std::size_t>(peer)];
  const Part* table = reinterpret_cast<const Part*>(rings_->slot_of(peer));
  const Part part = table[rings_->rank()];
  const Label& label = rings_->label_of(peer);
  if (part.bytes != taken.bytes) {
    fail(Kind::internal,
         "internal error: in an exchange rank {} sends {} bytes to rank {}, which expects {} (please report this)",
         peer, part.bytes, rings_->rank(), taken.bytes);
  }
  if (peer == rings_->rank()) {
    from_ = static_cast<const std::byte*>(rows_.data) + part.offset;
  } else if (label.via == Via::messages) {
    transfers_.receive(channel_, plus(received_.data, taken.offset), taken.bytes, peer);
  } else if (label.via == Via::source) {
    from_ = rings_->memory_of(peer, label.source) + part.offset;
  } else {
    from_ = reinterpret_cast<const std::byte*>(table + sent_.size()) + part.offset;
  }
}

bool ExchangeTask::drain(std::int64_t) {
  for (std::size_t moved = 0; moved < piece_bytes && peer_ < rings_->size();) {
    const int peer = (rings_->rank() + peer_) % rings_->size();
    const Part taken = taken_[static_cast<std::size_t>(peer)];
    if (done_ == 0) locate(peer);
    const std::size_t bytes = from_ == nullptr ? 0 : std::min<std::size_t>(piece_bytes, taken.bytes - done_);
    copy_part(received_.bytes(), from_ + done_, plus(received_.data, taken.offset + done_), bytes);
    moved += bytes;
    done_ += bytes;
    if (from_ != nullptr && done_ < taken.bytes) continue;
    from_ = nullptr;
    done_ = 0;
    ++peer_;
  }
  return peer_ == rings_->size();
}

bool ExchangeTask::settle() {
  return transfers_.done() && (label_.via != Via::source || others_have_drained());
}

}  // namespace hearth::mpi
