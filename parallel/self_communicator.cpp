#include <array>
#include <deque>

#include "parallel/checked_communicator.h"
#include "parallel/ordered_sum.h"

namespace hearth {

namespace {

/// A message from the rank to itself: whichever side comes second copies.
struct Message {
  Tensor from;
  Tensor to;
  bool done = false;
};

class MessageWork final : public Ticket::Work {
 public:
  explicit MessageWork(std::shared_ptr<Message> message) : message_(std::move(message)) {}
  void wait() override { require(message_->done, "a rank alone sends and receives before it waits"); }
  void abandon() noexcept override { message_->done = true; }

 private:
  std::shared_ptr<Message> message_;
};

class SelfCommunicator final : public CheckedCommunicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::unique_ptr<Communicator> split(int, int) override { return make_self_communicator(); }

 protected:
  Ticket start_sum(Out) override { return {}; }
  Ticket start_gather(In mine, Out all) override {
    copy_bytes(mine.data, all.data, mine.bytes());
    return {};
  }
  Ticket start_reduce_scatter(In all, Out mine, Onto onto) override {
    if (onto == Onto::nothing) {
      copy_bytes(all.data, mine.data, mine.bytes());
    } else {
      const std::array<const void*, 1> addend{all.data};
      sum_in_rank_order(all.dtype, addend, onto, all.elements(), mine.data);
    }
    return {};
  }
  Ticket start_exchange(In rows, std::span<const std::int64_t>, Out received, std::span<const std::int64_t>) override {
    copy_bytes(rows.data, received.data, rows.bytes());
    return {};
  }
  Ticket start_send(In x, int) override {
    return post(sent_, received_, [&](Message& message) { message.from = x; });
  }
  Ticket start_receive(Out x, int) override {
    return post(received_, sent_, [&](Message& message) { message.to = x; });
  }
  void wait_for_all() override {}

 private:
  using Messages = std::deque<std::shared_ptr<Message>>;

  template <class Place>
  static Ticket post(Messages& mine, Messages& others, const Place& place) {
    const bool second = !others.empty();
    auto message = second ? others.front() : std::make_shared<Message>();
    place(*message);
    if (second) {
      others.pop_front();
      if (!message->done) deliver(*message);
    } else {
      mine.push_back(message);
    }
    return Ticket(std::make_unique<MessageWork>(std::move(message)));
  }

  static void deliver(Message& message) {
    require(message.from.bytes() == message.to.bytes(), "a message has the size its receiver expects");
    copy_bytes(message.from.data, message.to.data, message.from.bytes());
    message.done = true;
  }

  Messages sent_;      // waiting for their receive
  Messages received_;  // waiting for their send
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() {
  return std::make_unique<SelfCommunicator>();
}

}  // namespace hearth
