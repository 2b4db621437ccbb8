// Weight gradients put off: backward gives the gradient of the input now, and the contractions wait until the pipeline
// would stand idle (zero-bubble schedules: Qi et al. 2023).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "model/block.h"

namespace hearth {

/// Takes the weight gradients of one backward of one block, and adds them later, to the same bits as if an
/// AccumulatingSink had taken them at once. Products and lookups are put off. Gains and biases, whose tensors are
/// dearer to keep than to add up, are summed at once, into vectors of the sink's own. The head is not put off: it
/// contracts in chunks of rows, and keeps no logits.
///
/// When a call returns, the sink holds copies of what it will read. So the executor gives backward its ordinary
/// scratch, and may afterwards shed the activations, overwrite x, dy and dx, and take the next microbatch. Views would
/// not do: of what blocks hand to a sink
///   * the MLP turns h, the input of `down`, into the gradient of `gate`, and the normed input of `gate` and `up` into
///     x_hat, before its backward ends; attention does the latter with the input of query, key and value;
///   * attention's x_hat of query heads lies in a scratch that is rewound, and taken again for key heads;
///   * dy, which `output` and `down` contract with, becomes dx in place;
///   * the embedding's tokens lie in the batch, which the next microbatch overwrites.
///
/// Copies lie in KeptMemory, each as large as a full microbatch needs, so a warm step takes no memory, and activations
/// and copies hand the same buffers round.
class DeferringSink final : public GradientSink {
 public:
  /// All outlive the sink. `shape` is that of the microbatch.
  DeferringSink(Ops& ops, KeptMemory& memory, const BatchShape& shape);
  ~DeferringSink() override;
  DeferringSink(const DeferringSink&) = delete;
  DeferringSink& operator=(const DeferringSink&) = delete;

  void linear(int p, In a, In dy, In example, double scale) override;
  void lookup(int p, In tokens, std::int64_t first, In dy, In example) override;
  void gain(int p, In x_hat, In dy, In example) override;
  void join() override {}

  /// Adds everything that was put off, in the order in which it came, and gives the memory back; the sink may then take
  /// another backward of this shape.    gradients: as AccumulatingSink's. They are zeros where equal bits are promised:
  /// sums that began at zero are added to them.
  void contract(std::span<const Tensor> gradients);
  bool empty() const { return buffers_.empty(); }
  /// What is held for a full microbatch.
  std::size_t bytes() const;

 private:
  /// dW += scale * dy^T a; for a lookup dE[token] += dy, and `a` is the tokens.
  struct PutOff {
    bool lookup = false;
    int p = 0;
    Tensor a;
    Tensor dy;
    double scale = 1;
    std::int64_t first = 0;  // of a lookup
  };
  struct Sum {
    int p = 0;
    Tensor total;
  };

  Tensor like(In x);
  Tensor copy(In x);
  Tensor input(In a);
  Tensor sum_of(int p, std::int64_t width, Dtype dtype);
  void clear();

  Ops& ops_;
  KeptMemory& memory_;
  BatchShape shape_;
  std::vector<PutOff> put_off_;
  std::vector<Sum> sums_;
  std::vector<Buffer> buffers_;
  Tensor last_input_;  // where put_off_.back().a was copied from
};

}  // namespace hearth
