// What `verify` must catch, done on purpose: decorators of the ranks and of the mathematics.
#pragma once

#include <memory>

#include "kernels/backend.h"
#include "parallel/communicator.h"

namespace hearth::test {

enum class Fault {
  none,
  missing_sum,      // a reduce_scatter of f32 gives each rank its own part alone
  unsummed,         // a sum of f32 leaves each rank what it had
  doubled,          // a reduce_scatter of f32 counts twice
  stale,            // a gather of f32 leaves what was there before, from the second one into the same place on
  swapped,          // a gather of f32 swaps the first two parts
  wrong_neighbour,  // an exchange goes the other way round; of two ranks: to oneself
  lost_half,        // what a send of f32 carries arrives with its second half zero
  late_border,      // attention's `first` one too small, on one rank
  denominator,      // the weights of the head's gradient too large, on one rank
  hasty_update      // AdamW at twice the rate, on one rank
};

/// `inner` with a fault in what it is split into, and what that is split into, where the one that is split has at least
/// `least` ranks; itself it is sound, so that who compares may rely on it.
class FaultyWorld final : public Communicator {
 public:
  FaultyWorld(Communicator& inner, Fault fault, int least = 1) : inner_(inner), fault_(fault), least_(least) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  Ticket sum(Out in_out) override { return inner_.sum(in_out); }
  Ticket gather(In mine, Out all) override { return inner_.gather(mine, all); }
  Ticket reduce_scatter(In all, Out mine, Onto onto) override { return inner_.reduce_scatter(all, mine, onto); }
  Ticket exchange(In rows, std::span<const std::int64_t> to, Out received,
                  std::span<const std::int64_t> from) override {
    return inner_.exchange(rows, to, received, from);
  }
  Ticket send(In x, int to) override { return inner_.send(x, to); }
  Ticket receive(Out x, int from) override { return inner_.receive(x, from); }
  void barrier() override { inner_.barrier(); }
  std::unique_ptr<Communicator> split(int color, int key) override;
  const Traffic& traffic() const override { return inner_.traffic(); }

 private:
  Communicator& inner_;
  Fault fault_;
  int least_;
};

/// A CPU backend of one thread; `wrong`: with the fault, where it is one of the mathematics.
std::unique_ptr<Backend> make_faulty_backend(Fault fault, bool wrong);

}  // namespace hearth::test
