// What all transports share: arguments checked, calls and bytes counted.
#pragma once

#include <vector>

#include "parallel/communicator.h"

namespace hearth {

/// What ranks do together; `message`: a send that meets a receive.
enum class Operation { sum, gather, reduce_scatter, exchange, message, barrier };
/// For messages to people: "sum", "send or receive".
const char* name_of(Operation operation);

/// Sums of at most this many bytes travel whole to every rank (one message time instead of two).
constexpr std::size_t small_sum_bytes = std::size_t{1} << 14;

/// A transport implements the start_* functions; their arguments are checked: host memory, unpitched, sizes that fit.
/// Bytes are counted by the algorithm that moves least, the same for every transport.
class CheckedCommunicator : public Communicator {
 public:
  Ticket sum(Out in_out) final;
  Ticket gather(In mine, Out all) final;
  Ticket reduce_scatter(In all, Out mine, Onto onto) final;
  Ticket exchange(In rows, std::span<const std::int64_t> to, Out received, std::span<const std::int64_t> from) final;
  Ticket send(In x, int to) final;
  Ticket receive(Out x, int from) final;
  void barrier() final;
  const Traffic& traffic() const final { return traffic_; }

 protected:
  virtual Ticket start_sum(Out in_out) = 0;
  virtual Ticket start_gather(In mine, Out all) = 0;
  virtual Ticket start_reduce_scatter(In all, Out mine, Onto onto) = 0;
  virtual Ticket start_exchange(In rows, std::span<const std::int64_t> to, Out received,
                                std::span<const std::int64_t> from) = 0;
  virtual Ticket start_send(In x, int to) = 0;
  virtual Ticket start_receive(Out x, int from) = 0;
  virtual void wait_for_all() = 0;

 private:
  void check_peer(int peer) const;

  Traffic traffic_;
};

/// The address of element `index`.
inline void* element_at(In x, std::int64_t index) {
  return static_cast<std::byte*>(x.data) + static_cast<std::size_t>(index) * size_of(x.dtype);
}
/// memcpy that takes no bytes from nowhere, and does nothing when both are one place.
void copy_bytes(const void* from, void* to, std::size_t bytes);

}  // namespace hearth
