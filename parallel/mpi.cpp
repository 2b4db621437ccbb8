#include "parallel/mpi.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <vector>

#include "parallel/checked_communicator.h"
#include "parallel/mpi_tasks.h"

namespace hearth {

namespace {

using mpi::Channel;
using mpi::check;
using mpi::Engine;

bool mpi_has_ended() {
  int ended = 0;
  MPI_Finalized(&ended);
  return ended != 0;
}

class MpiCommunicator final : public CheckedCommunicator {
 public:
  /// Owns `comm`.
  MpiCommunicator(MPI_Comm comm, std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {
    channel_.comm = comm;
    check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(comm, &channel_.rank), "MPI_Comm_rank");
    check(MPI_Comm_size(comm, &channel_.size), "MPI_Comm_size");
  }
  ~MpiCommunicator() override {
    if (std::uncaught_exceptions() == 0 && !mpi_has_ended()) MPI_Comm_free(&channel_.comm);
  }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return channel_.rank; }
  int size() const override { return channel_.size; }
  std::unique_ptr<Communicator> split(int color, int key) override;

 protected:
  Ticket start_sum(Out in_out) override;
  Ticket start_gather(In mine, Out all) override;
  Ticket start_reduce_scatter(In all, Out mine, Onto onto) override;
  Ticket start_exchange(In rows, std::span<const std::int64_t> to, Out received,
                        std::span<const std::int64_t> from) override;
  Ticket start_send(In x, int to) override;
  Ticket start_receive(Out x, int from) override;
  void wait_for_all() override;

 private:
  Channel next_channel();
  template <class Task, class... Args>
  Ticket start(Args&&... args) {
    return Engine::start(engine_, std::make_unique<Task>(std::forward<Args>(args)...));
  }

  std::shared_ptr<Engine> engine_;
  Channel channel_;  // tag 0: point to point
};

// Every rank numbers the collectives alike. 32767 is the largest tag that every MPI has.
Channel MpiCommunicator::next_channel() {
  channel_.tag = channel_.tag % 32767 + 1;
  return channel_;
}

Ticket MpiCommunicator::start_sum(Out in_out) {
  if (in_out.elements() == 0 || size() == 1) return {};
  const Channel channel = next_channel();
  if (in_out.bytes() <= small_sum_bytes) return start<mpi::SmallSumTask>(channel, engine_->staging(), in_out);
  return start<mpi::LargeSumTask>(channel, engine_->staging(), in_out);
}

Ticket MpiCommunicator::start_gather(In mine, Out all) {
  const Channel channel = next_channel();
  const std::size_t bytes = mine.bytes();
  const auto place = [&](int rank) { return element_at(all, rank * mine.elements()); };
  auto task = std::make_unique<mpi::TransferTask>();
  for (int step = 1; step < size(); ++step) {
    const int from = (rank() + size() - step) % size();
    task->transfers.receive(channel, place(from), bytes, from);
    task->transfers.send(channel, mine.data, bytes, (rank() + step) % size());
  }
  copy_bytes(mine.data, place(rank()), bytes);
  return Engine::start(engine_, std::move(task));
}

Ticket MpiCommunicator::start_reduce_scatter(In all, Out mine, Onto onto) {
  std::vector<Interval> intervals;
  for (int rank = 0; rank < size(); ++rank) intervals.push_back({rank * mine.elements(), (rank + 1) * mine.elements()});
  return start<mpi::ReduceScatterTask>(next_channel(), engine_->staging(), all, std::move(intervals), mine.data, onto);
}

Ticket MpiCommunicator::start_exchange(In rows, std::span<const std::int64_t> to, Out received,
                                       std::span<const std::int64_t> from) {
  const Channel channel = next_channel();
  const std::int64_t row = rows.row_elements();
  const std::size_t row_bytes = static_cast<std::size_t>(row) * size_of(rows.dtype);
  auto task = std::make_unique<mpi::TransferTask>();
  std::int64_t sent = 0;
  std::int64_t place = 0;
  const void* own = nullptr;
  void* own_place = nullptr;
  for (int peer = 0; peer < size(); ++peer) {
    const auto index = static_cast<std::size_t>(peer);
    if (peer == rank()) {
      own = element_at(rows, sent * row);
      own_place = element_at(received, place * row);
    } else {
      task->transfers.receive(channel, element_at(received, place * row),
                              static_cast<std::size_t>(from[index]) * row_bytes, peer);
      task->transfers.send(channel, element_at(rows, sent * row), static_cast<std::size_t>(to[index]) * row_bytes,
                           peer);
    }
    sent += to[index];
    place += from[index];
  }
  copy_bytes(own, own_place, static_cast<std::size_t>(to[static_cast<std::size_t>(rank())]) * row_bytes);
  return Engine::start(engine_, std::move(task));
}

Ticket MpiCommunicator::start_send(In x, int to) {
  Channel channel = channel_;
  channel.tag = 0;
  auto task = std::make_unique<mpi::TransferTask>();
  task->transfers.send(channel, x.data, x.bytes(), to);
  return Engine::start(engine_, std::move(task));
}

Ticket MpiCommunicator::start_receive(Out x, int from) {
  Channel channel = channel_;
  channel.tag = 0;
  auto task = std::make_unique<mpi::TransferTask>();
  task->transfers.receive(channel, x.data, x.bytes(), from);
  return Engine::start(engine_, std::move(task));
}

void MpiCommunicator::wait_for_all() {
  auto task = std::make_unique<mpi::TransferTask>();
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibarrier(channel_.comm, &request), "MPI_Ibarrier");
  task->transfers.add(request);
  Engine::start(engine_, std::move(task)).wait();
}

// MPI_Comm_split blocks without serving this process's tasks, so all ranks meet first.
std::unique_ptr<Communicator> MpiCommunicator::split(int color, int key) {
  wait_for_all();
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(channel_.comm, color, key, &part), "MPI_Comm_split");
  return std::make_unique<MpiCommunicator>(part, engine_);
}

}  // namespace

struct MpiSession::State {
  std::unique_ptr<MpiCommunicator> world;
};

MpiSession::MpiSession() : state_(std::make_unique<State>()) {
  int provided = MPI_THREAD_SINGLE;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_FUNNELED) {
    fail(Kind::machine, "this MPI ({}) does not allow threads beside the one that calls it; install one that does",
         library_version());
  }
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(MPI_COMM_WORLD, &copy), "MPI_Comm_dup");
  state_->world = std::make_unique<MpiCommunicator>(copy, std::make_shared<Engine>());
}

MpiSession::~MpiSession() {
  if (mpi_has_ended()) return;
  if (std::uncaught_exceptions() > 0) MPI_Abort(MPI_COMM_WORLD, exit_code(Kind::internal));
  state_->world.reset();
  MPI_Finalize();
}

Communicator& MpiSession::world() {
  return *state_->world;
}

std::string MpiSession::processor_name() const {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  check(MPI_Get_processor_name(name.data(), &length), "MPI_Get_processor_name");
  return {name.data(), static_cast<std::size_t>(length)};
}

std::string MpiSession::library_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  check(MPI_Get_library_version(text.data(), &length), "MPI_Get_library_version");
  const std::string whole(text.data(), static_cast<std::size_t>(std::max(0, length)));
  return whole.substr(0, whole.find('\n'));
}

void MpiSession::abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::abort();  // MPI_Abort does not return
}

}  // namespace hearth
