// A block is a pure function and its hand-written adjoint. Weights come in as arguments, weight gradients go out
// through a sink; devices, ranks, residency, recomputation and privacy are somebody else's business.
//
// Letters: T tokens in a microbatch (packed; of this context rank), t and C the sizes of the tensor and the context axis,
// D model width, N query heads, K key-value heads, H head width, F hidden width, V vocabulary.
//
// The rows of the residual stream are cut along the tensor axis: between blocks, tensor rank r holds rows
// [r * T / t, (r + 1) * T / t). What comes before the first block (tokens) and behind the last (losses) is whole on every
// tensor rank.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/parameter.h"
#include "base/random.h"
#include "kernels/ops.h"
#include "parallel/communicator.h"

namespace hearth {

/// The axes that cut the inside of a block.
struct AxisSizes {
  int tensor = 1;   // t
  int context = 1;  // C
};

/// What sizes depend on, known before any token is. Memory is taken for `capacity` tokens, so that microbatches of many
/// lengths share it.
struct BatchShape {
  std::int64_t tokens = 0;    // T, a multiple of t
  std::int64_t capacity = 0;  // the most tokens that a microbatch of this run has; at least `tokens`
};

/// Which keys of one context rank's rows each query sees: rows [first, last) of that rank. Neither ever decreases.
struct KeyRange {
  Tensor first;         // (T) i32, where the query's document begins
  Tensor last;          // (T) i32, one past the last key (causal: the query's own row + 1)
  bool visible = true;  // some query sees some key
};

/// One microbatch, or the part of it that this context rank has. All tensors lie on the device; documents lie end to
/// end, positions restart in each.
struct Batch {
  Tensor tokens;               // (T) i32
  Tensor targets;              // (T) i32, the token to predict at this place, -1: none
  Tensor weights;              // (T) f32, holding every denominator; 0 where there is no target
  Tensor positions;            // (T) i32, inside the document
  Tensor cosine;               // (T, H/2) f32, the rotary table at `positions`
  Tensor sine;                 // (T, H/2)
  Tensor example;              // (T) i32, the training item each row belongs to, -1: padding
  std::vector<KeyRange> keys;  // of every context rank, in order
  std::int64_t window = 0;     // the sliding window that `keys` are already limited to (C > 1); 0: none
};

/// Memory for what survives to backward: tensors of equal size are handed round, so a warm step allocates nothing.
class KeptMemory {
 public:
  explicit KeptMemory(Memory& memory) : memory_(memory) {}
  Buffer take(std::size_t bytes);
  void give(Buffer buffer);

 private:
  Memory& memory_;
  std::vector<Buffer> free_;
};

/// A tensor of KeptMemory, its first dim in proportion to T, that can be given back and taken again.
class Kept {
 public:
  Kept(KeptMemory& memory, const BatchShape& shape, Dtype dtype, Dims dims);
  ~Kept();
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  /// The tensor, taking memory when it has none (then its contents are undefined).
  Tensor hold();
  /// REQUIRES: held.
  Tensor operator*() const;
  bool held() const { return static_cast<bool>(buffer_); }
  void shed();
  std::size_t bytes() const { return bytes_; }  // what it takes: of a full microbatch

 private:
  KeptMemory& memory_;
  Dtype dtype_;
  Dims dims_;
  std::size_t bytes_;
  Buffer buffer_;
};

/// What backward needs beyond x and the weights.
class Activations {
 public:
  virtual ~Activations() = default;
  virtual void shed() = 0;  // give the memory back, keep decisions (which expert got which token)
  virtual bool is_shed() const = 0;
};

/// Where weight gradients go. The three contractions cover every parameter of a transformer; the sink decides what
/// becomes of them. `p` is the parameter's place in Block::parameters(). All calls for one parameter in one microbatch
/// are parts of one gradient. `example` has one id for each row of dy.
class GradientSink {
 public:
  virtual ~GradientSink() = default;
  /// dW += scale * dy^T a.    a: (T, I)   dy: (T, O)   W: (O, I). Without `a` (a column of ones) W is a bias: (O).
  virtual void linear(int p, In a, In dy, In example, double scale) = 0;
  /// dE[token - first] += dy; ids outside the piece, whose first row is token `first`, are skipped.
  ///   tokens: (T) i32   dy: (T, D)   E: (rows of the piece, D)
  virtual void lookup(int p, In tokens, std::int64_t first, In dy, In example) = 0;
  /// dg += sum over rows (and heads) of dy * x_hat.    x_hat, dy: (T, D) or (T, heads, D)   g: (D)
  virtual void gain(int p, In x_hat, In dy, In example) = 0;
  /// After a microbatch: `add` parts summed over their holders first, for sinks that square.
  virtual void join() = 0;
};

/// Keys and values of earlier tokens of one attention block, when generating.
struct Cache {
  Tensor keys;              // (capacity, K, H)
  Tensor values;            // (capacity, K, H)
  std::int64_t length = 0;  // rows filled by earlier calls
};

/// Everything a block may touch besides its arguments; lives for one call.
struct Pass {
  Ops& ops;
  GradientSink& gradients;
  std::span<const Tensor> weights;  // in the order of parameters(), in the compute dtype
  Arena& scratch;
  Communicator& tensor;  // of the sizes that the block was made for
  Communicator& context;
  Communicator& expert;
  Key random;
  const Batch& batch;
  Cache* cache = nullptr;  // null unless generating
};

/// The most bytes of Pass::scratch that a call has in use at once, each take as Arena::room counts it.
struct ScratchBytes {
  std::size_t forward = 0;
  std::size_t backward = 0;  // of the head: loss_and_gradient
};

/// The unit of sharding, recomputation and pipelining. All methods are const: a block stores sizes only.
class Block {
 public:
  virtual ~Block() = default;
  /// "layers.7.attention": what messages call it, and the prefix of its parameters.
  virtual const std::string& name() const = 0;
  virtual std::vector<Parameter> parameters() const = 0;
  /// Dims of y for a batch; (T / t, D) but for the head.
  virtual Dims out(const BatchShape& shape) const = 0;
  /// Bytes of each tensor that activations of `shape` hold, before anything is allocated.
  virtual std::vector<std::size_t> kept_sizes(const BatchShape& shape, Dtype compute) const = 0;
  /// Their sum.
  std::size_t kept_bytes(const BatchShape& shape, Dtype compute) const;
  /// What forward and backward of shape.tokens tokens take from their scratch, by arithmetic alone.
  virtual ScratchBytes scratch_bytes(const BatchShape& shape, Dtype compute) const = 0;
  /// Made once, reused by every step. Holds nothing until a forward fills it.
  virtual std::unique_ptr<Activations> activations(const BatchShape& shape, Dtype compute,
                                                   KeptMemory& memory) const = 0;
  /// y = f(x), and what backward needs into `kept`.    x: (T / t, D), or (T) i32 tokens for the first block
  virtual void forward(In x, Out y, Activations& kept, Pass& pass) const = 0;
  /// dx = the adjoint at x applied to dy (nothing for the first block, whose dx has no data); weight gradients into the
  /// sink. dx may be dy.    REQUIRES: kept is not shed.
  virtual void backward(In x, const Activations& kept, In dy, Out dx, Pass& pass) const = 0;
};

}  // namespace hearth
