// The collectives of ranks that share a host, in rounds (RoundTask).
//
// What is small goes through the slots: one copy in, one out, two cache lines of talk. What is larger is read where it
// lies: one copy, or one sum over everybody's addends in rank order. If on any rank it does not lie in the heap, the
// operation is carried out by messages instead, on all.
#pragma once

#include <vector>

#include "parallel/mpi_messages.h"
#include "parallel/mpi_rings.h"
#include "parallel/ordered_sum.h"

namespace hearth::mpi {

/// Meets.
class BarrierTask final : public RoundTask {
 public:
  explicit BarrierTask(std::shared_ptr<Rings> rings) : RoundTask(std::move(rings), {.operation = Operation::barrier}) {}
};

/// An operation whose first round offers a tensor, in the slot or where it lies; the others then read it.
class OfferTask : public RoundTask {
 protected:
  /// `slotted`: bytes that put() writes.
  OfferTask(std::shared_ptr<Rings> rings, Operation operation, In offered, std::size_t slotted);
  bool fill(std::int64_t round) override;
  bool drain(std::int64_t round) override;
  bool settle() override;

  /// Writes what is offered into the slot.
  virtual void put(std::byte* slot) = 0;
  /// Reads a piece of what everybody offers; true once all is read.
  virtual bool read() = 0;
  /// The same operation by messages.
  virtual std::shared_ptr<Task> by_messages() = 0;

  bool in_slot(int rank) const { return rank != rings_->rank() && rings_->label_of(rank).via == Via::slot; }

  std::vector<const std::byte*> offers_;  // of each rank, once the first round may be drained

 private:
  bool meet();

  Tensor offered_;
  std::shared_ptr<Task> instead_;
};

class GatherTask final : public OfferTask {
 public:
  GatherTask(std::shared_ptr<Rings> rings, const Channel& channel, In mine, Out all);

 private:
  void put(std::byte* slot) override;
  bool read() override;
  std::shared_ptr<Task> by_messages() override;

  Channel channel_;
  Tensor mine_;
  Tensor all_;
  int step_ = 0;  // ranks read
  std::size_t done_ = 0;
};

class ScatterTask final : public OfferTask {
 public:
  ScatterTask(std::shared_ptr<Rings> rings, const Channel& channel, Staging& staging, In all, Out mine, Onto onto);

 private:
  void put(std::byte* slot) override;
  bool read() override;
  std::shared_ptr<Task> by_messages() override;

  Channel channel_;
  Staging& staging_;
  Tensor all_;
  Tensor mine_;
  Onto onto_;
  Stores stores_;
  std::vector<const void*> addends_;
  std::int64_t done_ = 0;
};

/// Blocks of a tensor: in each, every rank sums its interval, then takes the others' sums from where they made them.
class SumTask final : public OfferTask {
 public:
  SumTask(std::shared_ptr<Rings> rings, const Channel& channel, Staging& staging, Out in_out);

 private:
  bool fill(std::int64_t round) override;
  bool drain(std::int64_t round) override;
  void put(std::byte* slot) override;
  bool read() override;
  std::shared_ptr<Task> by_messages() override;
  Interval interval(std::int64_t block, int rank) const;

  Channel channel_;
  Staging& staging_;
  Tensor in_out_;
  std::vector<const void*> addends_;
};

/// Each rank's offer goes its own way: slot, source or messages.
class ExchangeTask final : public RoundTask {
 public:
  ExchangeTask(std::shared_ptr<Rings> rings, const Channel& channel, In rows, std::span<const std::int64_t> to,
               Out received, std::span<const std::int64_t> from);

 private:
  struct Part {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  bool fill(std::int64_t round) override;
  bool drain(std::int64_t round) override;
  bool settle() override;
  void locate(int peer);

  Channel channel_;
  Tensor rows_;
  Tensor received_;
  std::vector<Part> sent_;   // of `rows`, by rank
  std::vector<Part> taken_;  // of `received`
  Transfers transfers_;
  int peer_ = 0;
  std::size_t done_ = 0;
  const std::byte* from_ = nullptr;  // peer_'s part, while it is being copied
};

}  // namespace hearth::mpi
