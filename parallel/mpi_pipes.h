// Messages between two ranks of a host.
//
// The pipe from one rank to another lies in the sender's heap and is made by the first message. What is small is copied
// into a slot, and the sender is done; what is larger is read where it lies, and the sender waits for that. If it does
// not lie in the heap, its place in the order is kept by the pipe, and its bytes go by MPI.
#pragma once

#include <memory>
#include <vector>

#include "parallel/mpi_messages.h"
#include "parallel/mpi_rings.h"

namespace hearth::mpi {

/// Every pipe of one rank to and from the others of a communicator.
class Pipes {
 public:
  static constexpr std::uint64_t slots = 4;
  static constexpr std::size_t slot_bytes = std::size_t{64} << 10;

  explicit Pipes(std::shared_ptr<Rings> rings);

 private:
  friend class SendTask;
  friend class ReceiveTask;
  struct Block {
    Counter written;
    std::array<Label, slots> labels;
  };
  struct Outgoing {
    Block* block = nullptr;  // its slots lie behind it
    std::uint64_t begun = 0;
    std::uint64_t turn = 0;  // messages written
    std::uint64_t given_up = never;
  };
  struct Incoming {
    std::uint64_t begun = 0;
    std::uint64_t turn = 0;  // messages read
    std::uint64_t given_up = never;
  };
  static std::byte* slot_of(Block* block, std::uint64_t message);
  Block* block_to(int to);

  std::shared_ptr<Rings> rings_;
  std::vector<Outgoing> outgoing_;
  std::vector<Incoming> incoming_;
};

class SendTask final : public Task {
 public:
  SendTask(std::shared_ptr<Pipes> pipes, const Channel& channel, In x, int to);
  Progress advance() override;
  void give_up() noexcept override;
  bool stuck() const override { return number_ > out_.given_up; }

 private:
  void write();

  std::shared_ptr<Pipes> pipes_;
  Pipes::Outgoing& out_;
  Channel channel_;
  Tensor x_;
  int to_;
  std::uint64_t number_;
  bool written_ = false;
  Via via_ = Via::slot;
  Transfers transfers_;
};

class ReceiveTask final : public Task {
 public:
  ReceiveTask(std::shared_ptr<Pipes> pipes, const Channel& channel, Out x, int from);
  Progress advance() override;
  void give_up() noexcept override;
  bool stuck() const override { return number_ > in_.given_up; }

 private:
  const Pipes::Block* arrived() const;
  bool read(const Pipes::Block& block);

  std::shared_ptr<Pipes> pipes_;
  Pipes::Incoming& in_;
  Channel channel_;
  Tensor x_;
  int from_;
  std::uint64_t number_;
  bool read_ = false;
  std::size_t done_ = 0;
  Transfers transfers_;
};

}  // namespace hearth::mpi
