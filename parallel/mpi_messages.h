// Operations by messages of MPI: between hosts, and where ranks of one host do not share what they bring.
//
// Messages of one operation carry its number as tag; both sides cut them alike, so nothing is matched to another
// operation.
#pragma once

#include <mpi.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "parallel/mpi_engine.h"
#include "parallel/ordered_sum.h"

namespace hearth::mpi {

/// The channel of one operation.
struct Channel {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
  int tag = 0;
};

/// Messages under way, large ones cut.
class Transfers {
 public:
  void send(const Channel& channel, const void* data, std::size_t bytes, int to);
  void receive(const Channel& channel, void* data, std::size_t bytes, int from);
  void add(MPI_Request request) { requests_.push_back(request); }
  bool done();

 private:
  std::vector<MPI_Request> requests_;
};

/// Memory that tasks use in turn.
class Staging {
 public:
  std::vector<std::byte> take(std::size_t bytes);
  void give(std::vector<std::byte> bytes) { free_.push_back(std::move(bytes)); }

 private:
  std::vector<std::vector<std::byte>> free_;
};

/// Messages and nothing else: gather, exchange, point to point, barrier.
class TransferTask final : public Task {
 public:
  Transfers transfers;
  Progress advance() override { return transfers.done() ? Progress::done : Progress::none; }
};

/// Sums of one interval on each rank: others' addends arrive in pieces, two pieces at a time, and are added in rank
/// order.
class ReduceScatterTask final : public Task {
 public:
  /// `all` holds every rank's interval of addends; `out` receives this rank's sum and may be its own place in `all`.
  ReduceScatterTask(const Channel& channel, Staging& staging, In all, std::vector<Interval> intervals, void* out,
                    Onto onto);
  ~ReduceScatterTask() override;
  Progress advance() override;

 private:
  void post(std::int64_t piece);
  void add(std::int64_t piece);
  Interval part(int rank, std::int64_t piece) const;  // in elements of `all`
  std::byte* slot(std::int64_t piece, int from);

  Channel channel_;
  Staging& staging_memory_;
  Tensor all_;
  std::vector<Interval> intervals_;
  std::byte* out_;
  Onto onto_;
  std::int64_t piece_elements_ = 0;
  std::int64_t pieces_ = 0;
  std::int64_t added_ = 0;
  std::vector<std::byte> staging_;
  std::array<Transfers, 2> under_way_;
};

/// A small sum: everybody's addends travel to everybody.
class SmallSumTask final : public Task {
 public:
  SmallSumTask(const Channel& channel, Staging& staging, In in_out);
  ~SmallSumTask() override;
  Progress advance() override;

 private:
  Channel channel_;
  Staging& staging_memory_;
  Tensor in_out_;
  std::vector<std::byte> staging_;
  Transfers transfers_;
};

/// A large sum: each rank sums an interval, then the intervals are gathered.
class LargeSumTask final : public Task {
 public:
  LargeSumTask(const Channel& channel, Staging& staging, In in_out);
  Progress advance() override;

 private:
  Channel channel_;
  Tensor in_out_;
  std::vector<Interval> intervals_;
  std::unique_ptr<ReduceScatterTask> sums_;  // null once summed
  Transfers gathering_;
};

/// The contracts are those of Communicator; the operations have begun when these return.
std::shared_ptr<Task> gather_by_messages(const Channel& channel, In mine, Out all);
std::shared_ptr<Task> reduce_scatter_by_messages(const Channel& channel, Staging& staging, In all, Out mine, Onto onto);
std::shared_ptr<Task> exchange_by_messages(const Channel& channel, In rows, std::span<const std::int64_t> to,
                                           Out received, std::span<const std::int64_t> from);
std::shared_ptr<Task> barrier_by_messages(const Channel& channel);

}  // namespace hearth::mpi
