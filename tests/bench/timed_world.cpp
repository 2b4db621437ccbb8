#include "timed_world.h"

#include <utility>

namespace hearth::test {

namespace {

using Clock = std::chrono::steady_clock;

/// Adds the time until it dies.
class Watch {
 public:
  explicit Watch(Spent& spent) : spent_(spent) {}
  ~Watch() { spent_.seconds += std::chrono::duration<double>(Clock::now() - began_).count(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  Spent& spent_;
  Clock::time_point began_ = Clock::now();
};

class TimedWork final : public Ticket::Work {
 public:
  TimedWork(Ticket inner, Spent& spent) : inner_(std::move(inner)), spent_(spent) {}
  void wait() override {
    const Watch watch(spent_);
    inner_.wait();
  }
  void abandon() noexcept override {}

 private:
  Ticket inner_;
  Spent& spent_;
};

}  // namespace

template <class Start>
Ticket TimedWorld::timed(Traffic::Count Traffic::*which, const Start& start, bool may_block) {
  const Watch watch(spent_);
  const Traffic::Count before = inner_.traffic().*which;
  Ticket ticket = start();
  const Traffic::Count after = inner_.traffic().*which;
  (spent_.traffic.*which).calls += after.calls - before.calls;
  (spent_.traffic.*which).bytes += after.bytes - before.bytes;
  if (spent_.blocking && may_block) ticket.wait();
  return Ticket(std::make_unique<TimedWork>(std::move(ticket), spent_));
}

Ticket TimedWorld::sum(Out in_out) {
  return timed(&Traffic::sum, [&] { return inner_.sum(in_out); });
}
Ticket TimedWorld::gather(In mine, Out all) {
  return timed(&Traffic::gather, [&] { return inner_.gather(mine, all); });
}
Ticket TimedWorld::reduce_scatter(In all, Out mine, Onto onto) {
  return timed(&Traffic::reduce_scatter, [&] { return inner_.reduce_scatter(all, mine, onto); });
}
Ticket TimedWorld::exchange(In rows, std::span<const std::int64_t> to, Out received,
                            std::span<const std::int64_t> from) {
  return timed(&Traffic::exchange, [&] { return inner_.exchange(rows, to, received, from); });
}
// Waiting for a message before its time would be a deadlock, not a slower run.
Ticket TimedWorld::send(In x, int to) {
  return timed(
      &Traffic::point, [&] { return inner_.send(x, to); }, false);
}
Ticket TimedWorld::receive(Out x, int from) {
  return timed(
      &Traffic::point, [&] { return inner_.receive(x, from); }, false);
}

std::unique_ptr<Communicator> TimedWorld::split(int color, int key) {
  return std::make_unique<TimedWorld>(inner_.split(color, key), spent_);
}

}  // namespace hearth::test
