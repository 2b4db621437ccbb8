#include "parallel/mpi.h"

#include <sched.h>

#include <cstdlib>
#include <exception>
#include <vector>

#include "parallel/checked_communicator.h"
#include "parallel/mpi_pipes.h"
#include "parallel/mpi_rounds.h"

namespace hearth {

namespace {

using mpi::Channel;
using mpi::check;
using mpi::Engine;
using mpi::Rings;

bool mpi_has_ended() {
  int ended = 0;
  MPI_Finalized(&ended);
  return ended != 0;
}

/// Whether the ranks of `host`, taken together, may use a core each.
bool cores_suffice(MPI_Comm host) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  sched_getaffinity(0, sizeof(cores), &cores);
  check(MPI_Allreduce(MPI_IN_PLACE, &cores, sizeof(cores), MPI_BYTE, MPI_BOR, host), "MPI_Allreduce");
  int ranks = 0;
  check(MPI_Comm_size(host, &ranks), "MPI_Comm_size");
  return CPU_COUNT(&cores) >= ranks;
}

/// What the communicators of a process share.
struct Process {
  explicit Process(MPI_Comm host) : engine(cores_suffice(host)), heap(mpi::SharedHeap::make(host, why_messages)) {
    check(MPI_Comm_rank(MPI_COMM_WORLD, &number_of_host), "MPI_Comm_rank");
    check(MPI_Bcast(&number_of_host, 1, MPI_INT, 0, host), "MPI_Bcast");
  }

  Engine engine;
  mpi::Staging staging;
  std::string why_messages;  // why there is no heap
  std::shared_ptr<mpi::SharedHeap> heap;
  int number_of_host = 0;
  std::vector<std::shared_ptr<Rings>> retired;
};

class MpiCommunicator final : public CheckedCommunicator {
 public:
  /// Owns `comm`. Every rank of it calls this. `shares`: memory, where all its ranks are on one host.
  MpiCommunicator(MPI_Comm comm, std::shared_ptr<Process> process, bool shares);
  ~MpiCommunicator() override;
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return channel_.rank; }
  int size() const override { return channel_.size; }
  std::unique_ptr<Communicator> split(int color, int key) override;
  std::unique_ptr<Communicator> messages();

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
  Channel point_to_point() const;
  Ticket start(std::shared_ptr<mpi::Task> task) {
    return Engine::start(std::shared_ptr<Engine>(process_, &process_->engine), std::move(task));
  }
  template <class Task, class... Args>
  Ticket start_new(Args&&... args) {
    return start(std::make_shared<Task>(std::forward<Args>(args)...));
  }

  std::shared_ptr<Process> process_;
  Channel channel_;
  bool shares_;
  std::shared_ptr<Rings> rings_;       // null: messages
  std::shared_ptr<mpi::Pipes> pipes_;  // null where rings_ is
};

MpiCommunicator::MpiCommunicator(MPI_Comm comm, std::shared_ptr<Process> process, bool shares)
    : process_(std::move(process)), shares_(shares) {
  channel_.comm = comm;
  check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_rank(comm, &channel_.rank), "MPI_Comm_rank");
  check(MPI_Comm_size(comm, &channel_.size), "MPI_Comm_size");
  std::erase_if(process_->retired, [](const auto& rings) { return rings->over(); });
  if (shares) rings_ = Rings::make(comm, process_->heap, process_->number_of_host);
  if (rings_ != nullptr) pipes_ = std::make_shared<mpi::Pipes>(rings_);
}

MpiCommunicator::~MpiCommunicator() {
  if (std::uncaught_exceptions() != 0 || mpi_has_ended()) return;
  MPI_Comm_free(&channel_.comm);
  if (rings_ == nullptr) return;
  rings_->retire();
  process_->retired.push_back(std::move(rings_));
}

// Every rank numbers the collectives alike. 32767 is the largest tag that every MPI has.
Channel MpiCommunicator::next_channel() {
  channel_.tag = channel_.tag % 32767 + 1;
  return channel_;
}

Channel MpiCommunicator::point_to_point() const {
  Channel channel = channel_;
  channel.tag = 0;
  return channel;
}

Ticket MpiCommunicator::start_sum(Out in_out) {
  if (in_out.elements() == 0 || size() == 1) return {};
  const Channel channel = next_channel();
  if (rings_ != nullptr) return start_new<mpi::SumTask>(rings_, channel, process_->staging, in_out);
  if (in_out.bytes() <= small_sum_bytes) return start_new<mpi::SmallSumTask>(channel, process_->staging, in_out);
  return start_new<mpi::LargeSumTask>(channel, process_->staging, in_out);
}

Ticket MpiCommunicator::start_gather(In mine, Out all) {
  if (mine.elements() == 0) return {};
  const Channel channel = next_channel();
  if (rings_ != nullptr) return start_new<mpi::GatherTask>(rings_, channel, mine, all);
  return start(mpi::gather_by_messages(channel, mine, all));
}

Ticket MpiCommunicator::start_reduce_scatter(In all, Out mine, Onto onto) {
  if (mine.elements() == 0) return {};
  const Channel channel = next_channel();
  if (rings_ != nullptr) return start_new<mpi::ScatterTask>(rings_, channel, process_->staging, all, mine, onto);
  return start(mpi::reduce_scatter_by_messages(channel, process_->staging, all, mine, onto));
}

Ticket MpiCommunicator::start_exchange(In rows, std::span<const std::int64_t> to, Out received,
                                       std::span<const std::int64_t> from) {
  const Channel channel = next_channel();
  if (rings_ != nullptr) return start_new<mpi::ExchangeTask>(rings_, channel, rows, to, received, from);
  return start(mpi::exchange_by_messages(channel, rows, to, received, from));
}

Ticket MpiCommunicator::start_send(In x, int to) {
  if (x.bytes() == 0) return {};
  if (pipes_ != nullptr && to != rank()) return start_new<mpi::SendTask>(pipes_, point_to_point(), x, to);
  auto task = std::make_shared<mpi::TransferTask>();
  task->transfers.send(point_to_point(), x.data, x.bytes(), to);
  return start(std::move(task));
}

Ticket MpiCommunicator::start_receive(Out x, int from) {
  if (x.bytes() == 0) return {};
  if (pipes_ != nullptr && from != rank()) return start_new<mpi::ReceiveTask>(pipes_, point_to_point(), x, from);
  auto task = std::make_shared<mpi::TransferTask>();
  task->transfers.receive(point_to_point(), x.data, x.bytes(), from);
  return start(std::move(task));
}

void MpiCommunicator::wait_for_all() {
  if (rings_ != nullptr) return start_new<mpi::BarrierTask>(rings_).wait();
  start(mpi::barrier_by_messages(channel_)).wait();
}

// What makes a communicator blocks without serving this process's tasks, so all ranks meet first.
std::unique_ptr<Communicator> MpiCommunicator::split(int color, int key) {
  wait_for_all();
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(channel_.comm, color, key, &part), "MPI_Comm_split");
  return std::make_unique<MpiCommunicator>(part, process_, shares_);
}

std::unique_ptr<Communicator> MpiCommunicator::messages() {
  wait_for_all();
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(channel_.comm, &copy), "MPI_Comm_dup");
  return std::make_unique<MpiCommunicator>(copy, process_, false);
}

}  // namespace

struct MpiSession::State {
  std::shared_ptr<Process> process;
  std::unique_ptr<MpiCommunicator> world;
};

MpiSession::MpiSession() : state_(std::make_unique<State>()) {
  int provided = MPI_THREAD_SINGLE;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_FUNNELED) {
    fail(Kind::machine, "this MPI ({}) does not allow threads beside the one that calls it; install one that does",
         library_version());
  }
  MPI_Comm host = MPI_COMM_NULL;
  check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host), "MPI_Comm_split_type");
  state_->process = std::make_shared<Process>(host);
  MPI_Comm_free(&host);
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(MPI_COMM_WORLD, &copy), "MPI_Comm_dup");
  state_->world = std::make_unique<MpiCommunicator>(copy, state_->process, true);
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

std::unique_ptr<Communicator> MpiSession::messages() {
  return state_->world->messages();
}

std::shared_ptr<Memory> MpiSession::make_memory() {
  if (state_->process->heap == nullptr) return std::make_shared<HostMemory>();
  return std::make_shared<mpi::SharedMemory>(state_->process->heap);
}

std::string MpiSession::why_messages() const {
  return state_->process->why_messages;
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
  const std::string whole(text.data());  // Open MPI counts its final zero as text
  return whole.substr(0, whole.find('\n'));
}

void MpiSession::abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::abort();  // MPI_Abort does not return
}

}  // namespace hearth
