// What ranks say to each other along one axis.
//
// Every rank of a communicator calls the same operations in the same order; that order depends on the recipe, never on
// data. Only sums exist (nobody averages), always in rank order: ((rank 0 + rank 1) + rank 2) + ..., so that results do
// not depend on the transport. Counts are read from the tensors; all dtypes travel as bytes, sums are of f32, f64 or
// i64 (and bf16, summed in f32 and rounded once).
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/tensor.h"

namespace hearth {

/// Something under way. Results may be read, and arguments changed, only after wait(). Tickets may be waited on in any
/// order; waiting twice is harmless; a ticket that dies unwaited waits in its destructor, unless an exception is under
/// way: then the operation is given up (the other ranks of a ThreadWorld are released; an MPI job is about to be
/// aborted).
class Ticket {
 public:
  class Work {
   public:
    virtual ~Work() = default;
    virtual void wait() = 0;
    virtual void abandon() noexcept = 0;  // afterwards this rank's arguments are not touched any more
  };
  Ticket() = default;  // already done
  explicit Ticket(std::unique_ptr<Work> work) : work_(std::move(work)) {}
  Ticket(Ticket&&) noexcept = default;
  Ticket& operator=(Ticket&& other) noexcept;
  ~Ticket();
  void wait();

 private:
  std::unique_ptr<Work> work_;
};

/// Whether a reduce_scatter starts from nothing or from what `mine` holds.
enum class Onto { nothing, held };

/// Calls and payload bytes that this rank sent, by operation (a gather of n bytes a rank counts n * (size - 1), and so
/// on).
struct Traffic {
  struct Count {
    std::uint64_t calls = 0;
    std::uint64_t bytes = 0;
  };
  Count sum, gather, reduce_scatter, exchange, point, barrier;
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// in_out = the sum over ranks, the same bits on every rank.
  virtual Ticket sum(Out in_out) = 0;
  /// all = every rank's `mine`, end to end in rank order.    all.elements() = size * mine.elements(); `mine` may be
  /// this rank's own place inside `all`.
  virtual Ticket gather(In mine, Out all) = 0;
  /// mine = the sum over ranks of this rank's interval of `all`; with Onto::held, mine = ((mine + rank 0's) + rank 1's)
  /// + ... all.elements() = size * mine.elements(). `all` is left as it was.
  virtual Ticket reduce_scatter(In all, Out mine, Onto onto) = 0;
  /// Rows to[i] of `rows` (in rank order, end to end) go to rank i; `received` gets from[i] rows of rank i, in rank
  /// order.
  virtual Ticket exchange(In rows, std::span<const std::int64_t> to, Out received,
                          std::span<const std::int64_t> from) = 0;
  virtual Ticket send(In x, int to) = 0;
  virtual Ticket receive(Out x, int from) = 0;
  virtual void barrier() = 0;
  /// Ranks of one color form a communicator, ordered by (key, rank).
  virtual std::unique_ptr<Communicator> split(int color, int key) = 0;

  virtual const Traffic& traffic() const = 0;
};

/// One rank: everything is already done. Fully working.
std::unique_ptr<Communicator> make_self_communicator();

}  // namespace hearth
