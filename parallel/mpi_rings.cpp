#include "parallel/mpi_rings.h"

#include <algorithm>
#include <new>

namespace hearth::mpi {

// ---- rings

/// What a rank tells the others when a communicator is made.
struct Rings::Place {
  std::int32_t host = -1;
  std::int32_t host_rank = 0;
  std::uint64_t control = SharedHeap::outside;
};

std::shared_ptr<Rings> Rings::make(MPI_Comm comm, std::shared_ptr<SharedHeap> heap, int host) {
  int size = 0;
  check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  if (size == 1) return nullptr;
  std::shared_ptr<Rings> rings(new Rings(std::move(heap)));
  check(MPI_Comm_rank(comm, &rings->rank_), "MPI_Comm_rank");
  Place mine;
  if (rings->heap_ != nullptr) mine = rings->take_part(size, host);
  std::vector<Place> all(static_cast<std::size_t>(size));
  check(MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, all.data(), sizeof(mine), MPI_BYTE, comm), "MPI_Allgather");
  for (const Place& place : all) {
    if (place.control == SharedHeap::outside || place.host != all[0].host) {
      rings->members_.clear();
      return nullptr;
    }
    Member member{place.host_rank, nullptr, nullptr, nullptr};
    const std::byte* control = rings->heap_->at(place.host_rank, place.control);
    member.control = reinterpret_cast<const Control*>(control);
    member.peers = reinterpret_cast<const Peer*>(control + sizeof(Control));
    member.first_slot = rings->heap_->at(place.host_rank, member.control->first_slot);
    rings->members_.push_back(member);
  }
  return rings;
}

Rings::Place Rings::take_part(int size, int host) {
  const auto peers = static_cast<std::size_t>(size);
  std::byte* control = heap_->take(sizeof(Control) + peers * sizeof(Peer));
  my_slots_ = heap_->take(slots * slot_bytes);
  if (control == nullptr || my_slots_ == nullptr) return {};
  mine_ = new (control) Control;
  my_peers_ = reinterpret_cast<Peer*>(control + sizeof(Control));
  for (std::size_t peer = 0; peer < peers; ++peer) new (my_peers_ + peer) Peer;
  mine_->first_slot = heap_->offset_of(my_slots_, slots * slot_bytes);
  return {host, heap_->rank(), heap_->offset_of(control, sizeof(Control))};
}

Rings::~Rings() {
  if (my_slots_ == nullptr || (!members_.empty() && !over())) return;
  heap_->give(my_slots_);
  for (std::size_t to = 0; to < members_.size(); ++to) {
    const std::uint64_t pipe = my_peers_[to].pipe.seen();
    if (pipe != 0) heap_->give(heap_->at(heap_->rank(), pipe - 1));
  }
}

template <Counter Rings::Control::*counter>
std::uint64_t Rings::least() const {
  std::uint64_t least = ~std::uint64_t{0};
  for (const Member& member : members_) least = std::min(least, (member.control->*counter).seen());
  return least;
}

bool Rings::may_fill() {
  if (least_drained_ + slots <= filled_) least_drained_ = least<&Control::drained>();
  return least_drained_ + slots > filled_;
}

bool Rings::may_drain() {
  if (least_filled_ <= drained_) least_filled_ = least<&Control::filled>();
  return least_filled_ > drained_;
}

bool Rings::all_drained(std::uint64_t round) {
  if (least_drained_ < round) least_drained_ = least<&Control::drained>();
  return least_drained_ >= round;
}

bool Rings::over() const {
  return least<&Control::retired>() == 1;
}

void Rings::choose(In x, std::size_t slotted, Label& label) const {
  label.source = heap_->offset_of(x.data, x.bytes());
  const bool fits = slotted <= slot_bytes;
  if (label.source != SharedHeap::outside && (!fits || slotted > source_bytes)) {
    label.via = Via::source;
  } else {
    label.via = fits ? Via::slot : Via::messages;
  }
}

Label& Rings::label() {
  return mine_->labels[filled_ % slots];
}
std::byte* Rings::slot() {
  return my_slots_ + filled_ % slots * slot_bytes;
}
const Label& Rings::label_of(int rank) const {
  return at(rank).control->labels[drained_ % slots];
}
const std::byte* Rings::slot_of(int rank) const {
  return at(rank).first_slot + drained_ % slots * slot_bytes;
}

void Rings::say_pipe(int to, std::uint64_t offset) {
  my_peers_[to].pipe.say(offset + 1);
}
std::uint64_t Rings::pipe_from(int from) const {
  const std::uint64_t pipe = at(from).peers[rank_].pipe.seen();
  return pipe == 0 ? SharedHeap::outside : pipe - 1;
}
void Rings::say_read(int from, std::uint64_t count) {
  my_peers_[from].read.say(count);
}
std::uint64_t Rings::read_by(int to) const {
  return at(to).peers[rank_].read.seen();
}

// ---- an operation

RoundTask::RoundTask(std::shared_ptr<Rings> rings, const Label& label)
    : rings_(std::move(rings)), label_(label), number_(rings_->begin()) {}

void RoundTask::give_up() noexcept {
  if (!all_drained_) rings_->given_up = std::min(rings_->given_up, number_);
}

// Draining first keeps what is under way small enough for the caches.
Progress RoundTask::advance() {
  bool moved = drain_some();
  if (!moved && fill_some()) {
    moved = true;
    drain_some();
  }
  if (all_drained_ && settle()) return Progress::done;
  return moved ? Progress::some : Progress::none;
}

bool RoundTask::fill_some() {
  if (rings_->filling != number_ || filled_ == rounds_ || !rings_->may_fill()) return false;
  if (filled_ == 0) rings_->label() = label_;
  if (!fill(filled_)) return true;
  rings_->say_filled();
  ++filled_;
  pass_turns_on();
  return true;
}

bool RoundTask::drain_some() {
  if (rings_->draining != number_ || drained_ == filled_ || !rings_->may_drain()) return false;
  if (drained_ == 0) compare_labels();
  if (!drain(drained_)) return true;
  rings_->say_drained();
  ++drained_;
  pass_turns_on();
  return true;
}

void RoundTask::pass_turns_on() {
  if (undecided_) return;
  if (!all_filled_ && filled_ == rounds_) {
    all_filled_ = true;
    ++rings_->filling;
  }
  if (!all_drained_ && drained_ == rounds_) {
    all_drained_ = true;
    ++rings_->draining;
    end_ = rings_->drained();
  }
}

void RoundTask::compare_labels() const {
  for (int peer = 0; peer < rings_->size(); ++peer) {
    const Label& other = rings_->label_of(peer);
    if (other.operation == label_.operation && other.dtype == label_.dtype && other.bytes == label_.bytes) continue;
    fail(Kind::internal,
         "internal error: rank {} began a {} of {} bytes ({}) where rank {} began a {} of {} bytes ({}) (please report "
         "this)",
         rings_->rank(), name_of(label_.operation), label_.bytes, name_of(label_.dtype), peer, name_of(other.operation),
         other.bytes, name_of(other.dtype));
  }
}

}  // namespace hearth::mpi
