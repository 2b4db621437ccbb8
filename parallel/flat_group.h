// ZeRO: one rank's pieces of the parameters of a block, placed over the ranks that add up their gradients.
//
// Invariants
//   1. Each element of a piece has one owner: rank k of the sum owns the k-th interval (FlatLayout), in f32, its
//      gradient and moments alike. Where there are fewer shards than ranks (stage 0: one) others keep copies of what it
//      owns and update them alike.
//   2. Weights may be read between whole() and release() only; pooled buffers are NaN outside where the pool poisons.
//   3. Padding is zero and belongs to nobody.
//   4. In the fixed order every microbatch's gradient is made in a fresh buffer and added rank by rank onto the running sum, also on one
//      rank and at every stage: microbatches m, m + 1, ... of ranks 0, 1, ... are added in the order of their index,
//      whatever the split.
//
// Weights go sharded -> gathering -> whole -> sharded; the gradients of an accumulator empty -> filling -> (parked ->)
// empty, and the group's, once a step, gathering -> ready -> gathering. A wrong transition is an error that names the
// group.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/parameter.h"
#include "kernels/ops.h"
#include "parallel/flat_layout.h"
#include "parallel/gather_pool.h"
#include "parallel/mesh.h"

namespace hearth {

/// A group whose parameters another stage of the pipeline holds too (tied ends).
struct Tie {
  Communicator* with = nullptr;  // the two stages, in the order in which their gradients are added
  bool counted = true;           // whether this is the copy that norms and checkpoints count
};

class FlatGroup {
 public:
  /// Takes its resident memory (Residency) and sets everything to zero. All parameters trainable, or, with no
  /// accumulators, all frozen. Everything referred to must outlive the group. Every rank that sums (mesh.sums()) and
  /// every rank of the tensor axis makes the same groups in the same order.
  FlatGroup(std::string name, std::vector<Parameter> parameters, const FlatOptions& options, Mesh& mesh, Ops& ops,
            Memory& memory, GatherPool& pool, const Tie& tie = {});
  FlatGroup(const FlatGroup&) = delete;
  FlatGroup& operator=(const FlatGroup&) = delete;

  // ---- weights, in the compute dtype

  /// Begins to gather. REQUIRES: sharded.
  void prefetch();
  bool is_sharded() const { return state_ == Weights::sharded; }
  /// Waits until the weights are there (prefetches itself where nobody did), and gives them in the order of
  /// parameters(), each under its piece_dims.
  std::span<const Tensor> whole();
  /// What whole() gave. REQUIRES: whole.
  std::span<const Tensor> weights() const;
  /// The views are invalid from here on.
  void release();

  // ---- gradients, f32

  /// To be added to until reduce(), in the order of parameters(), under piece_dims: fresh zeros for one microbatch, or
  /// in the fast order what earlier ones left.
  std::span<const Tensor> begin_gradients(int accumulator = 0);
  /// This microbatch's gradients are complete: they go onto the running sum in rank order, at once or (stages 0 and 1)
  /// when the next microbatch begins or finish() comes. All ranks call it in the same order.
  void reduce(int accumulator = 0);
  /// Once a step: accumulators are added up, in order, then parts that are addends over the tensor axis (Copies::add)
  /// over their holders, then tied gradients over their two stages; the gradients in the pieces are complete.
  void finish();
  /// After the update: running sums are zero again.
  void reset();
  bool ready() const { return ready_; }

  // ---- what this rank holds

  /// Elements [offset, offset + count) of this rank's piece of one parameter. Tensors are (count); gradient and moments
  /// are empty for frozen groups.
  struct Piece {
    int parameter = 0;
    std::int64_t offset = 0;  // row-major in piece_dims
    Tensor weight;            // the master
    Tensor gradient;          // valid between finish() and reset()
    Tensor first_moment;
    Tensor second_moment;
  };
  /// What this rank owns: for noise and checkpoints, where each element counts once (see counted()).
  std::span<const Piece> owned() const { return owned_; }
  /// What this rank updates: what it owns and the copies it keeps. After the update comes publish().
  std::span<const Piece> updated() const { return updated_; }
  /// Where the elements of a piece lie in the full parameter; padding is left out.
  std::vector<HeldStretch> stretches(const Piece& piece) const;
  /// Makes the updated masters the weights that whole() gives. Begins a gather under stages 1 and 2.
  void publish();

  enum class Part { weight, first_moment, second_moment };
  /// Writes the elements of a stretch of a full parameter to `out`, one row after the other.
  using Source = std::function<void(const Parameter& parameter, const Stretch& where, float* out)>;
  /// Asks for what this rank owns, about a mebi-element at a time, and hands it to those who hold copies; weights are
  /// published. Every rank calls it. REQUIRES: sharded.
  void fill(Part part, const Source& source);

  /// The chunk sums (Ops::squared_norm) of the gradients that this rank owns, zero where they are counted elsewhere.
  ///   sums: (chunks()), f64
  void squared_norms(Out sums) const;
  std::int64_t chunks() const { return layout_.interval / norm_chunk; }
  /// Whether this rank is the first that holds its piece of the parameter, over the tensor axis and a tie.
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
    Tensor running;  // of what this rank keeps (the first), of what it owns (the others)
    Tensor own;      // of running, what it owns
    Buffer microbatch;
    Tensor whole;  // of microbatch
    std::vector<Tensor> views;
    Filling state = Filling::empty;
  };

  Tensor zeros(Buffer& buffer, Dtype dtype, std::int64_t count);
  void place_weights();
  void place_state();
  std::int64_t own_place() const;
  void find_pieces();
  std::vector<Piece> pieces_in(Interval flat, std::int64_t at) const;
  void view_parameters(In flat, std::vector<Tensor>& views) const;
  void gather_from_masters();
  void gather_shards();
  void end_gathers();
  Tensor& flat(Part part);
  const Tensor& tensor_of(const Piece& piece, Part part) const;
  void read(const Piece& piece, Part part, const Source& source);
  void add_onto_running(Accumulator& accumulator);
  void add_holders(In own);
  Accumulator& accumulator_at(int index);
  [[noreturn]] void wrong(const char* what) const;

  std::string name_;
  std::vector<Parameter> parameters_;
  FlatOptions options_;
  std::unique_ptr<Communicator> alone_;
  Communicator& sums_;      // everyone whose gradients are added up
  Communicator& shard_;     // who share the state
  Communicator& replicas_;  // who keep the same part of it
  Communicator& tensor_;
  Tie tie_;
  FlatLayout layout_;
  Residency residency_;
  std::vector<Communicator*> holders_;  // by holding; null where there is nothing to add
  Ops& ops_;
  Memory& memory_;
  GatherPool& pool_;
  Interval own_;                // of this rank
  std::vector<Interval> kept_;  // what it keeps, end to end in master_, first_, second_, running

  Buffer weights_buffer_;  // resident or lent
  Buffer master_buffer_;
  Buffer first_buffer_;
  Buffer second_buffer_;
  Tensor whole_;   // weights in the compute dtype, while there is memory for them
  Tensor master_;  // of kept_
  Tensor first_;
  Tensor second_;
  std::vector<Accumulator> accumulators_;
  std::vector<Tensor> views_;
  std::vector<Piece> owned_;
  std::vector<Piece> updated_;
  Weights state_ = Weights::sharded;
  bool ready_ = false;
  std::vector<Ticket> gathers_;  // last, so that they have ended before the memory that they write goes
};

}  // namespace hearth
