// Ranks whose communication is timed: what a step waits for, and what it would wait if nothing were hidden.
#pragma once

#include <chrono>
#include <memory>

#include "parallel/communicator.h"

namespace hearth::test {

/// What the ranks of a world, and of all that it is split into, spend in calls and in waiting.
struct Spent {
  double seconds = 0;
  Traffic traffic;        // of all of them
  bool blocking = false;  // every operation is waited for where it begins
};

class TimedWorld final : public Communicator {
 public:
  TimedWorld(Communicator& inner, Spent& spent) : inner_(inner), spent_(spent) {}
  TimedWorld(std::unique_ptr<Communicator> owned, Spent& spent)
      : owned_(std::move(owned)), inner_(*owned_), spent_(spent) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  Ticket sum(Out in_out) override;
  Ticket gather(In mine, Out all) override;
  Ticket reduce_scatter(In all, Out mine, Onto onto) override;
  Ticket exchange(In rows, std::span<const std::int64_t> to, Out received, std::span<const std::int64_t> from) override;
  Ticket send(In x, int to) override;
  Ticket receive(Out x, int from) override;
  void barrier() override { inner_.barrier(); }
  std::unique_ptr<Communicator> split(int color, int key) override;
  const Traffic& traffic() const override { return inner_.traffic(); }

 private:
  template <class Start>
  Ticket timed(Traffic::Count Traffic::*which, const Start& start, bool may_block = true);

  std::unique_ptr<Communicator> owned_;
  Communicator& inner_;
  Spent& spent_;
};

}  // namespace hearth::test
