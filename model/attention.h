// y = x + output(attention(query(n), key(n), value(n))),  n = rms_norm(x): the attention half of a layer, with grouped
// queries, biases on q, k, v (Qwen2), norms on each query and key head (Qwen3), a sliding window (Mistral).
//
// Each tensor rank has N / t query heads and the key-value heads that they read: K / t, or one that t / K ranks share.
// Ranks that share a head have its weights whole, and what each gives to the sink for them is an addend of their gradient.
// Each context rank has the queries of its rows and asks them of the keys of all (model/ring).
#pragma once

#include "model/block.h"
#include "model/linear.h"

namespace hearth {

struct AttentionSizes {
  std::int64_t width = 0;            // D
  std::int64_t heads = 0;            // N
  std::int64_t key_value_heads = 0;  // K
  std::int64_t head_width = 0;       // H
  std::int64_t window = 0;           // 0: none
  bool biases = false;
  bool head_norms = false;
  double epsilon = 0;
  Law law;
};

class Attention final : public Block {
 public:
  /// REQUIRES: N a multiple of t; K a multiple of t or t a multiple of K.
  Attention(std::string name, const AttentionSizes& sizes, AxisSizes axes = {});
  const std::string& name() const override { return name_; }
  std::vector<Parameter> parameters() const override;
  Dims out(const BatchShape& shape) const override;
  std::vector<std::size_t> kept_sizes(const BatchShape& shape, Dtype compute) const override;
  ScratchBytes scratch_bytes(const BatchShape& shape, Dtype compute) const override;
  std::unique_ptr<Activations> activations(const BatchShape&, Dtype, KeptMemory&) const override;
  /// With pass.cache (on axes of one) the keys and values of these rows are appended at cache.length, and batch.keys count rows of
  /// the cache; the caller moves cache.length on.
  void forward(In x, Out y, Activations& kept, Pass& pass) const override;
  void backward(In x, const Activations& kept, In dy, Out dx, Pass& pass) const override;

 private:
  struct State;
  enum Place : int { norm, query, key, value, output };  // biases, then head norms, follow

  Linear linear(Place place) const;
  int query_norm() const { return sizes_.biases ? 8 : 5; }
  int key_norm() const { return query_norm() + 1; }
  void project(In n, State& state, Pass& pass) const;
  void turn_and_norm(State& state, Pass& pass) const;
  void attend_to_cache(State& state, const AttentionShape& shape, Pass& pass) const;
  void head_norm_backward(int place, In raw, In inverse_rms, In dy, Out d_raw, Pass& pass) const;

  std::string name_;
  AttentionSizes sizes_;
  AxisSizes axes_;
};

}  // namespace hearth
