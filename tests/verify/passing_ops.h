// An op table that hands everything on to another one: what a test derives from to change a few.
#pragma once

#include "kernels/ops.h"

namespace hearth::test {

class PassingOps : public Ops {
 public:
  explicit PassingOps(Ops& inner) : inner_(inner) {}

  void fill(double value, Out y) override { inner_.fill(value, y); }
  void cast(In x, Out y) override { inner_.cast(x, y); }
  void add(In x, Out y) override { inner_.add(x, y); }
  void sum(In a, In b, Out y) override { inner_.sum(a, b, y); }
  void scale(double factor, Out y) override { inner_.scale(factor, y); }
  void matmul(In a, Turn turn_a, In b, Turn turn_b, double scale, Write write, Out y) override {
    inner_.matmul(a, turn_a, b, turn_b, scale, write, y);
  }
  void add_bias(In bias, Out y) override { inner_.add_bias(bias, y); }
  void bias_backward(In dy, double scale, Out db) override { inner_.bias_backward(dy, scale, db); }
  void embedding(In tokens, In table, std::int64_t first, Out y) override { inner_.embedding(tokens, table, first, y); }
  void embedding_backward(In tokens, In dy, std::int64_t first, Out dtable) override {
    inner_.embedding_backward(tokens, dy, first, dtable);
  }
  void rms_norm(In x, In gain, double epsilon, Out y, Out inverse_rms) override {
    inner_.rms_norm(x, gain, epsilon, y, inverse_rms);
  }
  void rms_norm_backward(In x, In gain, In inverse_rms, In dy, Out dx) override {
    inner_.rms_norm_backward(x, gain, inverse_rms, dy, dx);
  }
  void rms_normalize(In x, In inverse_rms, Out x_hat) override { inner_.rms_normalize(x, inverse_rms, x_hat); }
  void gain_backward(In x_hat, In dy, Out dgain) override { inner_.gain_backward(x_hat, dy, dgain); }
  void rotary_table(In positions, In frequencies, double factor, Out cosine, Out sine) override {
    inner_.rotary_table(positions, frequencies, factor, cosine, sine);
  }
  void rotate(In x, In cosine, In sine, Turn back, Out y) override { inner_.rotate(x, cosine, sine, back, y); }
  void attention(In q, In k, In v, In first, In last, AttentionShape shape, Out y, Out log_sum) override {
    inner_.attention(q, k, v, first, last, shape, y, log_sum);
  }
  void attention_merge(In part, In part_log_sum, Out y, Out log_sum) override {
    inner_.attention_merge(part, part_log_sum, y, log_sum);
  }
  void attention_backward(In q, In k, In v, In first, In last, AttentionShape shape, In y, In log_sum, In dy, Out dq,
                          Out dk, Out dv) override {
    inner_.attention_backward(q, k, v, first, last, shape, y, log_sum, dy, dq, dk, dv);
  }
  void swiglu(In gate, In up, Out y) override { inner_.swiglu(gate, up, y); }
  void swiglu_backward(In gate, In up, In dy, Out dgate, Out dup) override {
    inner_.swiglu_backward(gate, up, dy, dgate, dup);
  }
  void head_statistics(In logits, In targets, std::int64_t first, Out statistics) override {
    inner_.head_statistics(logits, targets, first, statistics);
  }
  void head_fold(In pieces, Out statistics) override { inner_.head_fold(pieces, statistics); }
  void head_losses(In statistics, In targets, double smoothing, std::int64_t vocabulary, Out losses) override {
    inner_.head_losses(statistics, targets, smoothing, vocabulary, losses);
  }
  void head_backward(In logits, In statistics, In targets, In weights, std::int64_t first, double smoothing,
                     std::int64_t vocabulary, Out dlogits) override {
    inner_.head_backward(logits, statistics, targets, weights, first, smoothing, vocabulary, dlogits);
  }
  void squared_norm(In x, Out sums) override { inner_.squared_norm(x, sums); }
  void adamw(In gradient, In control, const AdamW& update, Out weight, Out first_moment, Out second_moment) override {
    inner_.adamw(gradient, control, update, weight, first_moment, second_moment);
  }

 private:
  Ops& inner_;
};

}  // namespace hearth::test
