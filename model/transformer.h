// A whole model: its blocks in order, first to last.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/block.h"
#include "model/config.h"
#include "model/head.h"

namespace hearth {

/// How fresh weights of matrices are drawn.
enum class Init { normal, xavier };

/// Embedding, then for each layer attention and MLP, then the final norm, then the head. Immutable; holds sizes only.
class Transformer {
 public:
  /// REQUIRES of `axes`: heads divide by t, and key-value heads divide by t or t divides by them. Hidden width and
  /// vocabulary need not divide: their pieces are padded.
  explicit Transformer(ModelConfig config, double label_smoothing = 0, Init init = Init::normal, AxisSizes axes = {});

  const ModelConfig& config() const { return config_; }
  const AxisSizes& axes() const { return axes_; }
  int blocks() const { return static_cast<int>(blocks_.size()); }
  const Block& block(int i) const { return *blocks_[static_cast<std::size_t>(i)]; }
  const Head& head() const { return *head_; }
  /// The layer a block is part of; -1 for embedding, final norm and head.
  int layer_of(int block) const;
  /// Blocks of attention, in order: layer i's.
  int attention_of(int layer) const { return 1 + 2 * layer; }
  /// Whether the last block's parameter is the first block's.
  bool tied() const { return config_.tied; }
  /// Every parameter once, in order.
  std::vector<Parameter> parameters() const;

 private:
  ModelConfig config_;
  AxisSizes axes_;
  std::vector<std::unique_ptr<Block>> blocks_;
  const Head* head_ = nullptr;
};

/// Where a block's weights come from while it runs: resident, or gathered for the moment.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// Begins to bring the weights of a block; whole() then waits less.
  virtual void prefetch(int block) = 0;
  /// In the order of Block::parameters(), in the compute dtype; valid until release(block).
  virtual std::span<const Tensor> whole(int block) = 0;
  virtual void release(int block) = 0;
};

}  // namespace hearth
