// ZeRO: the parameters of one block, placed over the ranks of the shard axis.
//
// Invariants
//   1. Each element has one owner: rank k owns the k-th interval (FlatLayout), in f32, its gradient and moments alike.
//      Under stage 0 every rank holds copies of all of it and updates them alike.
//   2. Weights may be read between whole() and release() only; pooled buffers are NaN outside where the pool poisons.
//   3. Padding is zero and belongs to nobody.
//   4. Every microbatch's gradient is made in a fresh buffer and added rank by rank onto the running sum, also on one
//      rank and at every stage: microbatches m, m + 1, ... of ranks 0, 1, ... are added in the order of their index,
//      whatever the split.
//
// Weights go sharded -> gathering -> whole -> sharded; the gradients of an accumulator empty -> filling -> (parked ->)
// empty, and the group's, once a step, gathering -> ready -> gathering. A wrong transition is an error that names the
// group.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/parameter.h"
#include "kernels/ops.h"
#include "parallel/communicator.h"
#include "parallel/flat_layout.h"
#include "parallel/gather_pool.h"

namespace hearth {

class FlatGroup {
 public:
  /// Takes its resident memory (Residency) and sets everything to zero. All parameters trainable, or, with no
  /// accumulators, all frozen. Everything referred to must outlive the group. A tensor axis larger than one is refused.
  FlatGroup(std::string name, std::vector<Parameter> parameters, const FlatOptions& options, Communicator& shard,
            Communicator& tensor, Ops& ops, Memory& memory, GatherPool& pool);
  FlatGroup(const FlatGroup&) = delete;
  FlatGroup& operator=(const FlatGroup&) = delete;

  // ---- weights, in the compute dtype

  /// Begins to gather. REQUIRES: sharded.
  void prefetch();
  /// Waits until the weights are there (prefetches itself where nobody did), and gives them in the order of
  /// parameters().
  std::span<const Tensor> whole();
  /// What whole() gave. REQUIRES: whole.
  std::span<const Tensor> weights() const;
  /// The views are invalid from here on.
  void release();

  // ---- gradients, f32

  /// Fresh zeros for one microbatch, in the order of parameters(): to be added to until reduce().
  std::span<const Tensor> begin_gradients(int accumulator = 0);
  /// This microbatch's gradients are complete: they go onto the running sum in rank order, at once or (stages 0 and 1)
  /// when the next microbatch begins or finish() comes. All ranks call it in the same order.
  void reduce(int accumulator = 0);
  /// Once a step: accumulators are added up, in order; the gradients in the pieces are complete. (Parts that are
  /// addends over the tensor axis, Copies::add, are summed over their holders here as soon as that axis may be larger
  /// than one.)
  void finish();
  /// After the update: running sums are zero again.
  void reset();
  bool ready() const { return ready_; }

  // ---- what this rank holds

  /// A stretch of one parameter. Tensors are (count); gradient and moments are empty for frozen groups.
  struct Piece {
    int parameter = 0;
    std::int64_t offset = 0;  // in the parameter, row-major
    Tensor weight;            // the master
    Tensor gradient;          // valid between finish() and reset()
    Tensor first_moment;
    Tensor second_moment;
  };
  /// What this rank owns: for norms, noise and checkpoints, where each element counts once.
  std::span<const Piece> owned() const { return owned_; }
  /// What this rank updates: what it owns, or under stage 0 everything. After the update comes publish().
  std::span<const Piece> updated() const { return updated_; }
  /// Makes the updated masters the weights that whole() gives. Begins a gather under stages 1 and 2.
  void publish();

  enum class Part { weight, first_moment, second_moment };
  /// Writes elements [begin, end) of a parameter to `out`.
  using Source = std::function<void(const Parameter& parameter, std::int64_t begin, std::int64_t end, float* out)>;
  /// Asks for what this rank owns, in stretches of at most a mebi-element, and hands it to those who hold copies;
  /// weights are published. Every rank calls it. REQUIRES: sharded.
  void fill(Part part, const Source& source);

  /// The chunk sums (Ops::squared_norm) of the gradients that this rank owns.    sums: (chunks()), f64
  void squared_norms(Out sums) const;
  std::int64_t chunks() const { return layout_.interval / norm_chunk; }
  /// Whether this rank is the first of the tensor axis that holds its piece of the parameter.
  bool counted(int parameter) const;

  const std::string& name() const { return name_; }
  std::span<const Parameter> parameters() const { return parameters_; }
  const FlatLayout& layout() const { return layout_; }
  const Residency& residency() const { return residency_; }
  bool trainable() const { return !accumulators_.empty(); }

 private:
  enum class Weights { sharded, gathering, whole };
  enum class Filling { empty, filling, parked };
  struct Accumulator {
    Buffer running_buffer;
    Tensor running;  // what this rank holds (the first), what it owns (the others)
    Tensor own;      // of running, what it owns
    Buffer microbatch;
    Tensor whole;  // of microbatch
    std::vector<Tensor> views;
    Filling state = Filling::empty;
  };

  Tensor zeros(Buffer& buffer, Dtype dtype, std::int64_t count);
  void place_weights();
  void place_state();
  std::vector<Piece> pieces_in(Interval interval) const;
  void view_parameters(In flat, std::vector<Tensor>& views) const;
  Tensor own_of(In whole_or_own) const;
  Tensor& flat(Part part);
  const Tensor& piece_of(const Piece& piece, Part part) const;
  void read(const Piece& piece, Part part, const Source& source);
  void add_onto_running(Accumulator& accumulator);
  Accumulator& accumulator_at(int index);
  [[noreturn]] void wrong(const char* what) const;

  std::string name_;
  std::vector<Parameter> parameters_;
  FlatOptions options_;
  FlatLayout layout_;
  Residency residency_;
  Communicator& shard_;
  Communicator& tensor_;
  Ops& ops_;
  Memory& memory_;
  GatherPool& pool_;
  Interval own_;   // of this rank
  Interval held_;  // own_, or everything

  Buffer weights_buffer_;  // resident or lent
  Buffer master_buffer_;
  Buffer first_buffer_;
  Buffer second_buffer_;
  Tensor whole_;   // weights in the compute dtype, while there is memory for them
  Tensor master_;  // held_
  Tensor first_;
  Tensor second_;
  std::vector<Accumulator> accumulators_;
  std::vector<Tensor> views_;
  std::vector<Piece> owned_;
  std::vector<Piece> updated_;
  Weights state_ = Weights::sharded;
  bool ready_ = false;
  Ticket gather_;  // last, so that it has ended before the memory that it writes goes
};

}  // namespace hearth
