#include "parallel/mpi_pipes.h"

#include <algorithm>
#include <new>

#include "parallel/stream_copy.h"

namespace hearth::mpi {

namespace {
constexpr std::size_t piece_bytes = std::size_t{1} << 20;  // of a large message, before others get their turn
}

Pipes::Pipes(std::shared_ptr<Rings> rings)
    : rings_(std::move(rings)),
      outgoing_(static_cast<std::size_t>(rings_->size())),
      incoming_(static_cast<std::size_t>(rings_->size())) {}

Pipes::Block* Pipes::block_to(int to) {
  Outgoing& out = outgoing_[static_cast<std::size_t>(to)];
  if (out.block != nullptr) return out.block;
  constexpr std::size_t bytes = sizeof(Block) + slots * slot_bytes;
  std::byte* place = rings_->heap().take(bytes);
  if (place == nullptr)
    fail(Kind::machine, "out of memory: {} bytes for messages to rank {}; use fewer ranks", bytes, to);
  out.block = new (place) Block;
  rings_->say_pipe(to, rings_->heap().offset_of(place, bytes));
  return out.block;
}

std::byte* Pipes::slot_of(Block* block, std::uint64_t message) {
  return reinterpret_cast<std::byte*>(block + 1) + message % slots * slot_bytes;
}

// ---- send

SendTask::SendTask(std::shared_ptr<Pipes> pipes, const Channel& channel, In x, int to)
    : pipes_(std::move(pipes)),
      out_(pipes_->outgoing_[static_cast<std::size_t>(to)]),
      channel_(channel),
      x_(x),
      to_(to),
      number_(out_.begun++) {}

Progress SendTask::advance() {
  bool moved = false;
  if (!written_) {
    if (out_.turn != number_ || number_ >= pipes_->rings_->read_by(to_) + Pipes::slots) return Progress::none;
    write();
    moved = written_ = true;
  }
  const bool read = via_ != Via::source || pipes_->rings_->read_by(to_) > number_;
  if (read && transfers_.done()) return Progress::done;
  return moved ? Progress::some : Progress::none;
}

void SendTask::give_up() noexcept {
  if (!written_) out_.given_up = std::min(out_.given_up, number_);
}

void SendTask::write() {
  Pipes::Block* block = pipes_->block_to(to_);
  Label label{.operation = Operation::message, .dtype = x_.dtype, .bytes = x_.bytes()};
  label.source = pipes_->rings_->heap().offset_of(x_.data, x_.bytes());
  if (x_.bytes() <= Pipes::slot_bytes) {
    copy_bytes(x_.data, Pipes::slot_of(block, number_), x_.bytes());
  } else if (label.source != SharedHeap::outside) {
    label.via = Via::source;
  } else {
    label.via = Via::messages;
    transfers_.send(channel_, x_.data, x_.bytes(), to_);
  }
  via_ = label.via;
  block->labels[number_ % Pipes::slots] = label;
  block->written.say(++out_.turn);
}

// ---- receive

ReceiveTask::ReceiveTask(std::shared_ptr<Pipes> pipes, const Channel& channel, Out x, int from)
    : pipes_(std::move(pipes)),
      in_(pipes_->incoming_[static_cast<std::size_t>(from)]),
      channel_(channel),
      x_(x),
      from_(from),
      number_(in_.begun++) {}

void ReceiveTask::give_up() noexcept {
  if (!read_) in_.given_up = std::min(in_.given_up, number_);
}

/// The pipe, once this message is in it.
const Pipes::Block* ReceiveTask::arrived() const {
  if (in_.turn != number_) return nullptr;
  const std::uint64_t pipe = pipes_->rings_->pipe_from(from_);
  if (pipe == SharedHeap::outside) return nullptr;
  const auto* block = reinterpret_cast<const Pipes::Block*>(pipes_->rings_->memory_of(from_, pipe));
  return block->written.seen() > number_ ? block : nullptr;
}

Progress ReceiveTask::advance() {
  bool moved = false;
  if (!read_) {
    const Pipes::Block* block = arrived();
    if (block == nullptr) return Progress::none;
    moved = true;
    if (!read(*block)) return Progress::some;
    read_ = true;
    pipes_->rings_->say_read(from_, ++in_.turn);
  }
  if (transfers_.done()) return Progress::done;
  return moved ? Progress::some : Progress::none;
}

/// False: only a piece of it.
bool ReceiveTask::read(const Pipes::Block& block) {
  const Label& label = block.labels[number_ % Pipes::slots];
  if (label.bytes != x_.bytes()) {
    fail(Kind::internal, "internal error: rank {} sent {} bytes where rank {} expected {} (please report this)", from_,
         label.bytes, pipes_->rings_->rank(), x_.bytes());
  }
  if (label.via == Via::messages) {
    transfers_.receive(channel_, x_.data, x_.bytes(), from_);
    return true;
  }
  const std::byte* source = label.via == Via::source ? pipes_->rings_->memory_of(from_, label.source)
                                                     : reinterpret_cast<const std::byte*>(&block + 1) +
                                                           number_ % Pipes::slots * Pipes::slot_bytes;
  const std::size_t bytes = std::min(piece_bytes, x_.bytes() - done_);
  copy_part(x_.bytes(), source + done_, static_cast<std::byte*>(x_.data) + done_, bytes);
  done_ += bytes;
  return done_ == x_.bytes();
}

}  // namespace hearth::mpi
