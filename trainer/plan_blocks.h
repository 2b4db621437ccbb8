// What a plan knows of the blocks of a model on its axes: parameters, what a microbatch keeps and needs, what it sends.
// Asked of the blocks once for each kind, since all layers are alike.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "model/transformer.h"
#include "parallel/communicator.h"

namespace hearth {

enum class BlockKind { embedding, attention, mlp, final_norm, head };
constexpr std::array<BlockKind, 5> block_kinds = {BlockKind::embedding, BlockKind::attention, BlockKind::mlp,
                                                  BlockKind::final_norm, BlockKind::head};

/// Of one microbatch of the full length.
struct PlannedBlock {
  std::vector<Parameter> parameters;
  std::vector<std::size_t> kept;     // bytes of each tensor that lives from forward to backward
  std::vector<std::size_t> put_off;  // bytes of each tensor that contractions wait with (DeferringSink)
  ScratchBytes scratch;
  // As the counters of one rank count them; the head's forward is in its backward.
  Traffic tensor_forward, tensor_backward;
  Traffic context_forward, context_backward;
};

class PlannedModel {
 public:
  /// tokens: of the longest microbatch, without padding. The model, made for its axes, outlives this.
  PlannedModel(const Transformer& model, std::int64_t tokens, Dtype compute);

  const Transformer& model() const { return model_; }
  const ModelConfig& config() const { return model_.config(); }
  const AxisSizes& axes() const { return model_.axes(); }
  Dtype compute() const { return compute_; }
  std::int64_t capacity() const { return capacity_; }                 // tokens of a microbatch, padding included
  std::int64_t tokens() const { return capacity_ / axes().context; }  // T, of one context rank
  std::int64_t rows() const { return tokens() / axes().tensor; }      // of the residual stream, on one rank
  std::size_t row_bytes() const;                                      // of those rows: what passes between blocks

  int blocks() const { return model_.blocks(); }
  BlockKind kind_of(int block) const;
  const PlannedBlock& of(BlockKind kind) const { return kinds_[static_cast<std::size_t>(kind)]; }
  const PlannedBlock& block(int i) const { return of(kind_of(i)); }

  // Of one tensor rank.
  std::int64_t query_heads() const { return config().heads / axes().tensor; }  // n
  std::int64_t key_value_heads() const;                                        // k
  std::int64_t hidden() const { return cut(config().hidden); }                 // f
  std::int64_t vocabulary() const { return cut(config().vocabulary); }         // v

 private:
  std::int64_t cut(std::int64_t extent) const { return (extent + axes().tensor - 1) / axes().tensor; }
  void add_put_off(BlockKind kind, PlannedBlock& block) const;
  void add_traffic(BlockKind kind, PlannedBlock& block) const;

  const Transformer& model_;
  std::int64_t capacity_;
  Dtype compute_;
  std::array<PlannedBlock, block_kinds.size()> kinds_;
};

}  // namespace hearth
