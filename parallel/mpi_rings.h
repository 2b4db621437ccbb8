// How the ranks of a communicator that share a host meet: in rounds.
//
// Every rank has a few slots in its own heap (SharedHeap). In a round each rank fills its next slot and then says so
// (`filled`); when all have, each takes what it needs from everybody's slots, and says so (`drained`). What does not fit
// into a slot stays where it is: the label says where that is, and the others read it there.
//
// Invariants
//   1. Rank r alone writes its Control and its slots; filled and drained only grow, by one a round.
//   2. drained <= filled of every rank, and filled <= drained of every rank + slots.
//   3. An operation is a number of rounds, the same on every rank. Operations fill in the order of their start, and
//      drain in that order; the next fills while one still drains, so what fits into slots is there for the others even
//      if this rank does not come back for long.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "parallel/checked_communicator.h"
#include "parallel/mpi_engine.h"
#include "parallel/mpi_heap.h"

namespace hearth::mpi {

/// A number that one rank writes and others read, alone in its cache line.
struct alignas(64) Counter {
  std::atomic<std::uint64_t> value = 0;
  std::uint64_t seen() const { return value.load(std::memory_order_acquire); }
  void say(std::uint64_t number) { value.store(number, std::memory_order_release); }
};

/// No operation's number.
constexpr std::uint64_t never = ~std::uint64_t{0};

/// Where the others find what a rank brings: in the slot, where it lies (`source`, in its heap), or in messages.
enum class Via : std::int32_t { slot, source, messages };

struct alignas(64) Label {
  Operation operation = Operation::barrier;
  Dtype dtype = Dtype::u8;
  std::uint64_t bytes = 0;  // of what every rank brings; of a row in an exchange
  Via via = Via::slot;
  std::uint64_t source = 0;
};

class Rings {
 public:
  static constexpr std::uint64_t slots = 8;
  static constexpr std::size_t slot_bytes = std::size_t{128} << 10;
  static constexpr std::size_t source_bytes = std::size_t{32} << 10;  // from here on, reading in place is quicker

  /// Every rank of `comm` calls it. `heap`: of this process, or null; `host`: the same number on ranks of one host. Null
  /// on all ranks when they are not all on one host with heaps.
  static std::shared_ptr<Rings> make(MPI_Comm comm, std::shared_ptr<SharedHeap> heap, int host);
  ~Rings();
  Rings(const Rings&) = delete;
  Rings& operator=(const Rings&) = delete;

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(members_.size()); }
  SharedHeap& heap() { return *heap_; }
  const std::byte* memory_of(int rank, std::uint64_t offset) const { return heap_->at(at(rank).host_rank, offset); }

  // ---- this rank's turn, as a filler and as a drainer
  bool may_fill();
  /// How to offer `slotted` bytes that make up a slot, read from `x`, and where it lies.
  void choose(In x, std::size_t slotted, Label& label) const;
  Label& label();     // of the round to be filled
  std::byte* slot();  // REQUIRES: may_fill()
  void say_filled() { mine_->filled.say(++filled_); }
  bool may_drain();
  const Label& label_of(int rank) const;     // of the round to be drained
  const std::byte* slot_of(int rank) const;  // REQUIRES: may_drain()
  void say_drained() { mine_->drained.say(++drained_); }
  std::uint64_t drained() const { return drained_; }
  /// Whether every rank has drained the rounds before `round`.
  bool all_drained(std::uint64_t round);

  // ---- the order of operations
  std::uint64_t begin() { return begun_++; }
  std::uint64_t filling = 0;  // number of the operation whose turn it is
  std::uint64_t draining = 0;
  std::uint64_t given_up = never;  // the first one that was left in the middle: none after it can end

  // ---- point to point (Pipes): where the pipe to `to` begins, and how far this rank has read the one from `from`
  void say_pipe(int to, std::uint64_t offset);
  std::uint64_t pipe_from(int from) const;  // SharedHeap::outside while there is none
  void say_read(int from, std::uint64_t count);
  std::uint64_t read_by(int to) const;

  /// The communicator is gone. Memory is given back once that is so on every rank (over()): until then others may read.
  void retire() { mine_->retired.say(1); }
  bool over() const;

 private:
  struct Peer {
    Counter pipe;  // offset + 1
    Counter read;
  };
  struct Control {
    Counter filled;
    Counter drained;
    Counter retired;
    std::array<Label, slots> labels;
    std::uint64_t first_slot = 0;  // offset
  };
  struct Member {
    int host_rank = 0;
    const Control* control = nullptr;
    const Peer* peers = nullptr;
    const std::byte* first_slot = nullptr;
  };
  struct Place;

  explicit Rings(std::shared_ptr<SharedHeap> heap) : heap_(std::move(heap)) {}
  Place take_part(int size, int host);
  const Member& at(int rank) const { return members_[static_cast<std::size_t>(rank)]; }
  template <Counter Control::*counter>
  std::uint64_t least() const;

  std::shared_ptr<SharedHeap> heap_;
  int rank_ = 0;
  Control* mine_ = nullptr;  // never given back: others may look at any time
  Peer* my_peers_ = nullptr;
  std::byte* my_slots_ = nullptr;
  std::vector<Member> members_;
  std::uint64_t begun_ = 0;
  std::uint64_t filled_ = 0;
  std::uint64_t drained_ = 0;
  std::uint64_t least_filled_ = 0;  // of all ranks, as last seen
  std::uint64_t least_drained_ = 0;
};

/// An operation in rounds.
class RoundTask : public Task {
 public:
  RoundTask(std::shared_ptr<Rings> rings, const Label& label);
  Progress advance() final;
  void give_up() noexcept final;
  bool stuck() const final { return number_ > rings_->given_up; }

 protected:
  /// Puts into the slot, or does, what the others need in this round. False: only a part of it is done.
  virtual bool fill(std::int64_t) { return true; }
  /// Takes what all ranks have put there. False: only a part of it is done.
  virtual bool drain(std::int64_t) { return true; }
  /// Whether what is left after the last round is done. It is, unless others read this rank's tensors.
  virtual bool settle() { return true; }
  bool others_have_drained() { return rings_->all_drained(end_); }

  std::shared_ptr<Rings> rings_;
  Label label_;  // of the first round
  std::int64_t rounds_ = 1;
  bool undecided_ = false;  // the first round shows how many there are

 private:
  bool fill_some();
  bool drain_some();
  void pass_turns_on();
  void compare_labels() const;

  std::uint64_t number_;
  std::int64_t filled_ = 0;  // rounds of this operation
  std::int64_t drained_ = 0;
  bool all_filled_ = false;  // the turns have been passed on
  bool all_drained_ = false;
  std::uint64_t end_ = 0;
};

}  // namespace hearth::mpi
