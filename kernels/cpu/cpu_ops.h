// The op table on the CPU: work cut into pieces by shape, vectorised loops inside, products by oneDNN.
#pragma once

#include "kernels/cpu/loops.h"
#include "kernels/cpu/products.h"
#include "kernels/cpu/storage.h"
#include "kernels/cpu/team.h"
#include "kernels/cpu/workspace.h"
#include "kernels/ops.h"

namespace hearth::cpu {

class CpuOps final : public Ops {
 public:
  CpuOps(const CpuOptions& options, const Loops& loops, Memory& memory);

  /// As Backend::workspace_bytes.
  std::size_t workspace_bytes(const Workload& work);

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

 private:
  // body(row, column, count) for strips that cover every element of tensors like y; where none is pitched, all rows
  // count as one.
  template <class Body>
  void strips(In y, bool pitched, const Body& body) const;
  // body(row) for every row of y.
  template <class Body>
  void rows(In y, const Body& body) const;
  void column_sums(In x, const Tensor* other, float scale, Out sums) const;
  AttentionLayout layout(In q, In k, In v, In first, In last, AttentionShape shape);
  std::int64_t attention_room(const AttentionLayout& in) const;
  struct AdjointRoom;
  AdjointRoom adjoint_room(const AttentionLayout& in) const;

  Team team_;
  const Loops& loops_;
  Products products_;
  Workspace workspace_;
  Workspace ranges_;  // first with the window applied
};

template <class Body>
void CpuOps::strips(In y, bool pitched, const Body& body) const {
  constexpr std::int64_t grain = 16384;  // elements of one piece
  const std::int64_t height = pitched ? y.rows() : 1;
  const std::int64_t width = pitched ? y.row_elements() : y.elements();
  if (height == 0 || width == 0) return;
  const std::int64_t high = std::max<std::int64_t>(1, grain / width);
  const std::int64_t across = ceil_divide(width, grain);
  team_.each(ceil_divide(height, high) * across, [&](std::int64_t piece, int) {
    const std::int64_t column = piece % across * grain;
    const std::int64_t count = std::min(grain, width - column);
    const std::int64_t from = piece / across * high;
    for (std::int64_t row = from; row < std::min(from + high, height); ++row) body(row, column, count);
  });
}

template <class Body>
void CpuOps::rows(In y, const Body& body) const {
  constexpr std::int64_t grain = 8192;
  const std::int64_t high = std::max<std::int64_t>(1, grain / std::max<std::int64_t>(1, y.row_elements()));
  team_.each(ceil_divide(y.rows(), high), [&](std::int64_t piece, int) {
    for (std::int64_t row = piece * high; row < std::min((piece + 1) * high, y.rows()); ++row) body(row);
  });
}

}  // namespace hearth::cpu
