// The truth: every op written as its contract reads, all sums in f64 in order of index. Slow on purpose.
#pragma once

#include "kernels/ops.h"

namespace hearth::plain {

class PlainOps final : public Ops {
 public:
  void fill(double value, Out y) override;
  void cast(In x, Out y) override;
  void add(In x, Out y) override;
  void sum(In a, In b, Out y) override;
  void scale(double factor, Out y) override;
  void matmul(In a, Turn turn_a, In b, Turn turn_b, double scale, Write write, Out y) override;
  void add_bias(In bias, Out y) override;
  void bias_backward(In dy, double scale, Out db) override;
  void embedding(In tokens, In table, std::int64_t first, Out y) override;
  void embedding_backward(In tokens, In dy, std::int64_t first, Out dtable) override;
  void rms_norm(In x, In gain, double epsilon, Out y, Out inverse_rms) override;
  void rms_norm_backward(In x, In gain, In inverse_rms, In dy, Out dx) override;
  void rms_normalize(In x, In inverse_rms, Out x_hat) override;
  void gain_backward(In x_hat, In dy, Out dgain) override;
  void rotary_table(In positions, In frequencies, double factor, Out cosine, Out sine) override;
  void rotate(In x, In cosine, In sine, Turn back, Out y) override;
  void attention(In q, In k, In v, In first, In last, AttentionShape shape, Out y, Out log_sum) override;
  void attention_merge(In part, In part_log_sum, Out y, Out log_sum) override;
  void attention_backward(In q, In k, In v, In first, In last, AttentionShape shape, In y, In log_sum, In dy, Out dq,
                          Out dk, Out dv) override;
  void swiglu(In gate, In up, Out y) override;
  void swiglu_backward(In gate, In up, In dy, Out dgate, Out dup) override;
  void head_statistics(In logits, In targets, std::int64_t first, Out statistics) override;
  void head_fold(In pieces, Out statistics) override;
  void head_losses(In statistics, In targets, double smoothing, std::int64_t vocabulary, Out losses) override;
  void head_backward(In logits, In statistics, In targets, In weights, std::int64_t first, double smoothing,
                     std::int64_t vocabulary, Out dlogits) override;
  void squared_norm(In x, Out sums) override;
  void adamw(In gradient, In control, const AdamW& update, Out weight, Out first_moment, Out second_moment) override;
};

}  // namespace hearth::plain
