#include "parallel/thread_world.h"

#include <array>
#include <exception>
#include <map>
#include <thread>
#include <tuple>
#include <vector>

#include "parallel/checked_communicator.h"
#include "parallel/meeting.h"

namespace hearth {

namespace {

/// Names a meeting of a group: (sender, receiver, number of the message between them), or (-1, -1, number of the
/// collective).
using MeetingName = std::tuple<int, int, std::uint64_t>;

/// The ranks of one communicator.
struct Group {
  Group(std::shared_ptr<WorldLock> world_lock, int ranks) : world(std::move(world_lock)), size(ranks) {}

  struct Child {
    std::shared_ptr<Group> group;
    int fetched = 0;
  };

  std::shared_ptr<WorldLock> world;
  int size;
  std::map<MeetingName, std::shared_ptr<Meeting>> meetings;  // those that miss a participant
  std::map<std::pair<std::uint64_t, int>, Child> children;   // by (number of the split, color), until all have theirs
};

class MeetingWork final : public Ticket::Work {
 public:
  explicit MeetingWork(std::shared_ptr<Meeting> meeting) : meeting_(std::move(meeting)) {}
  void wait() override { meeting_->wait(); }
  void abandon() noexcept override { meeting_->abandon(); }

 private:
  std::shared_ptr<Meeting> meeting_;
};

class ThreadCommunicator final : public CheckedCommunicator {
 public:
  ThreadCommunicator(std::shared_ptr<Group> group, int rank)
      : group_(std::move(group)),
        rank_(rank),
        sent_(static_cast<std::size_t>(group_->size)),
        received_(static_cast<std::size_t>(group_->size)) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size; }
  std::unique_ptr<Communicator> split(int color, int key) override;

 protected:
  Ticket start_sum(Out in_out) override { return collective({.operation = Operation::sum, .in = in_out}); }
  Ticket start_gather(In mine, Out all) override {
    return collective({.operation = Operation::gather, .in = mine, .out = all});
  }
  Ticket start_reduce_scatter(In all, Out mine, Onto onto) override {
    return collective({.operation = Operation::reduce_scatter, .in = all, .out = mine, .onto = onto});
  }
  Ticket start_exchange(In rows, std::span<const std::int64_t> to, Out received,
                        std::span<const std::int64_t> from) override {
    return collective({.operation = Operation::exchange,
                       .in = rows,
                       .out = received,
                       .to = {to.begin(), to.end()},
                       .from = {from.begin(), from.end()}});
  }
  Ticket start_send(In x, int to) override {
    const MeetingName name{rank_, to, sent_[static_cast<std::size_t>(to)]++};
    return meet(name, 2, 0, {.operation = Operation::message, .in = x});
  }
  Ticket start_receive(Out x, int from) override {
    const MeetingName name{from, rank_, received_[static_cast<std::size_t>(from)]++};
    return meet(name, 2, 1, {.operation = Operation::message, .out = x});
  }
  void wait_for_all() override { collective({.operation = Operation::barrier}).wait(); }

 private:
  Ticket collective(Posted posted) { return meet({-1, -1, collectives_++}, group_->size, rank_, std::move(posted)); }
  Ticket meet(const MeetingName& name, int participants, int participant, Posted posted);

  std::shared_ptr<Group> group_;
  int rank_;
  std::uint64_t collectives_ = 0;
  std::uint64_t splits_ = 0;
  std::vector<std::uint64_t> sent_;
  std::vector<std::uint64_t> received_;
};

Ticket ThreadCommunicator::meet(const MeetingName& name, int participants, int participant, Posted posted) {
  const std::lock_guard lock(group_->world->mutex);
  std::shared_ptr<Meeting>& place = group_->meetings[name];
  if (place == nullptr) place = std::make_shared<Meeting>(group_->world, participants);
  const std::shared_ptr<Meeting> meeting = place;
  meeting->post(participant, std::move(posted));
  if (meeting->all_posted()) group_->meetings.erase(name);
  return Ticket(std::make_unique<MeetingWork>(meeting));
}

std::unique_ptr<Communicator> ThreadCommunicator::split(int color, int key) {
  const auto ranks = static_cast<std::size_t>(size());
  std::array<std::int32_t, 2> mine{color, key};
  std::vector<std::int32_t> all(2 * ranks);
  collective({.operation = Operation::gather,
              .in = Tensor(mine.data(), Dtype::i32, {2}),
              .out = Tensor(all.data(), Dtype::i32, {static_cast<std::int64_t>(all.size())})})
      .wait();
  int members = 0;
  int place = 0;
  for (int other = 0; other < size(); ++other) {
    const auto index = static_cast<std::size_t>(2 * other);
    if (all[index] != color) continue;
    ++members;
    if (std::pair(all[index + 1], other) < std::pair(key, rank_)) ++place;
  }
  const std::lock_guard lock(group_->world->mutex);
  const auto name = std::pair(splits_++, color);
  Group::Child& child = group_->children[name];
  if (child.group == nullptr) child.group = std::make_shared<Group>(group_->world, members);
  const auto group = child.group;
  if (++child.fetched == members) group_->children.erase(name);
  return std::make_unique<ThreadCommunicator>(group, place);
}

}  // namespace

struct ThreadWorld::State {
  explicit State(int ranks) : lock(std::make_shared<WorldLock>()), size(ranks) {}

  /// The body of one rank's thread.
  void carry_out(const std::function<void(Communicator&)>& body, Communicator& communicator);
  void rethrow();

  std::shared_ptr<WorldLock> lock;
  int size;
  // What went wrong, guarded by lock->mutex. Errors are copied, so that threads share no exception object.
  std::unique_ptr<Error> first;
  std::exception_ptr first_foreign;
  std::unique_ptr<Error> released;  // thrown here only when nothing else explains it: ranks that did not agree
};

void ThreadWorld::State::carry_out(const std::function<void(Communicator&)>& body, Communicator& communicator) {
  try {
    body(communicator);
  } catch (const Released& error) {
    const std::lock_guard guard(lock->mutex);
    if (released == nullptr) released = std::make_unique<Error>(error.kind(), error.text());
  } catch (const Error& error) {
    const std::lock_guard guard(lock->mutex);
    if (first == nullptr) first = std::make_unique<Error>(error.kind(), error.text());
    lock->fail_with(fmt::format("rank {}: {}", communicator.rank(), error.text()));
  } catch (...) {
    const std::lock_guard guard(lock->mutex);
    if (first_foreign == nullptr) first_foreign = std::current_exception();
    lock->fail_with(fmt::format("rank {} threw an exception", communicator.rank()));
  }
}

void ThreadWorld::State::rethrow() {
  if (first != nullptr) throw Error(*first);
  if (first_foreign != nullptr) std::rethrow_exception(first_foreign);
  if (released != nullptr) throw Error(*released);
}

ThreadWorld::ThreadWorld(int size) : state_(std::make_unique<State>(size)) {
  require(size > 0, "a world has at least one rank");
}

ThreadWorld::~ThreadWorld() = default;

void ThreadWorld::run(const std::function<void(Communicator&)>& body) {
  require(!state_->lock->failed, "a world that failed is not used again");
  const auto group = std::make_shared<Group>(state_->lock, state_->size);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(state_->size));
  for (int rank = 0; rank < state_->size; ++rank) {
    threads.emplace_back([this, &body, group, rank] {
      ThreadCommunicator communicator(group, rank);
      state_->carry_out(body, communicator);
    });
  }
  for (std::thread& thread : threads) thread.join();
  state_->rethrow();
}

}  // namespace hearth
