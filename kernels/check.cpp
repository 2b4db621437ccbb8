#include "kernels/check.h"

namespace hearth::check {

namespace {

bool matrix(In x, std::int64_t rows, std::int64_t columns) {
  return x.rows() == rows && x.row_elements() == columns;
}
bool same(In x, In y) {
  return x.dims == y.dims && x.dtype == y.dtype;
}
bool vector(In x, std::int64_t elements) {
  return x.elements() == elements && x.unpitched();
}
// What sums are kept in: f32, or f64 in the truth.
bool wide(In x) {
  return x.dtype == Dtype::f32 || x.dtype == Dtype::f64;
}

}  // namespace

void cast(In x, Out y) {
  require(x.dims == y.dims, "cast: x and y have the same dims");
  require(is_float(x.dtype) && is_float(y.dtype), "cast: x and y are float tensors");
}

void add(In x, Out y) {
  require(x.dims == y.dims, "add: x and y have the same dims");
  require(is_float(x.dtype) && is_float(y.dtype), "add: x and y are float tensors");
}

void sum(In a, In b, Out y) {
  require(same(a, y) && same(b, y) && is_float(y.dtype), "sum: a, b and y are alike");
}

void scale(Out y) {
  require(is_float(y.dtype), "scale: y is a float tensor");
}

void matmul(In a, Turn turn_a, In b, Turn turn_b, Out y) {
  require(a.dims.count == 2 && b.dims.count == 2 && y.dims.count == 2, "matmul: a, b and y have two dims");
  const bool turned_a = turn_a == Turn::yes;
  const bool turned_b = turn_b == Turn::yes;
  const std::int64_t rows = a.dims[turned_a ? 1 : 0];
  const std::int64_t length = a.dims[turned_a ? 0 : 1];
  require(b.dims[turned_b ? 1 : 0] == length, "matmul: op(a) has as many columns as op(b) has rows");
  require(matrix(y, rows, b.dims[turned_b ? 0 : 1]), "matmul: y has the rows of op(a) and the columns of op(b)");
  require(is_float(a.dtype) && a.dtype == b.dtype, "matmul: a and b share one float dtype");
  require(y.dtype == a.dtype || y.dtype == Dtype::f32, "matmul: y has the dtype of a or f32");
}

void add_bias(In bias, Out y) {
  require(vector(bias, y.row_elements()) && bias.dtype == y.dtype,
          "add_bias: bias has one element for each column of y");
}

void bias_backward(In dy, Out db) {
  require(vector(db, dy.row_elements()) && wide(db), "bias_backward: db has one wide element for each column of dy");
}

void embedding(In tokens, In table, Out y) {
  require(tokens.dtype == Dtype::i32 && vector(tokens, y.rows()), "embedding: tokens are (T) i32");
  require(table.dtype == y.dtype && table.row_elements() == y.row_elements(),
          "embedding: table and y are alike in rows");
}

void embedding_backward(In tokens, In dy, Out dtable) {
  require(tokens.dtype == Dtype::i32 && vector(tokens, dy.rows()), "embedding_backward: tokens are (T) i32");
  require(wide(dtable) && dtable.row_elements() == dy.row_elements(),
          "embedding_backward: dtable has rows as wide as dy");
}

void rms_norm(In x, In gain, Out y, Out inverse_rms) {
  require(same(x, y) && gain.dtype == x.dtype, "rms_norm: x and y are alike, gain of their dtype");
  require(vector(gain, x.row_elements()), "rms_norm: gain has one element for each column");
  require(vector(inverse_rms, x.rows()) && wide(inverse_rms),
          "rms_norm: inverse_rms has one wide element for each row");
}

void rms_norm_backward(In x, In gain, In inverse_rms, In dy, Out dx) {
  require(same(x, dy) && same(x, dx) && gain.dtype == x.dtype, "rms_norm_backward: x, dy and dx are alike");
  require(vector(gain, x.row_elements()), "rms_norm_backward: gain has one element for each column");
  require(vector(inverse_rms, x.rows()) && wide(inverse_rms), "rms_norm_backward: one inverse_rms for each row");
}

void rms_normalize(In x, In inverse_rms, Out x_hat) {
  require(same(x, x_hat), "rms_normalize: x and x_hat are alike");
  require(vector(inverse_rms, x.rows()) && wide(inverse_rms), "rms_normalize: one inverse_rms for each row");
}

void gain_backward(In x_hat, In dy, Out dgain) {
  require(same(x_hat, dy), "gain_backward: x_hat and dy are alike");
  require(vector(dgain, dy.row_elements()) && wide(dgain), "gain_backward: dgain has one wide element for each column");
}

void rotary_table(In positions, In frequencies, Out cosine, Out sine) {
  require(positions.dtype == Dtype::i32 && vector(positions, cosine.rows()), "rotary_table: positions are (T) i32");
  require(frequencies.dtype == Dtype::f32 && vector(frequencies, cosine.row_elements()),
          "rotary_table: frequencies are (H/2) f32");
  require(same(cosine, sine) && wide(cosine), "rotary_table: cosine and sine are alike and wide");
}

void rotate(In x, In cosine, In sine, Out y) {
  require(x.dims.count == 3 && same(x, y), "rotate: x and y are (T, heads, H)");
  require(x.dims[2] % 2 == 0 && same(cosine, sine) && wide(cosine) && matrix(cosine, x.rows(), x.dims[2] / 2),
          "rotate: cosine and sine are (T, H/2)");
}

void attention(In q, In k, In v, In first, In last, Out y, Out log_sum) {
  require(q.dims.count == 3 && k.dims.count == 3, "attention: q is (T, N, H), k is (S, K, H)");
  require(q.dims == y.dims && (y.dtype == q.dtype || wide(y)), "attention: y is as q, or wide");
  require(same(k, v) && q.dtype == k.dtype, "attention: k and v are alike, of q's dtype");
  require(q.dims[2] == k.dims[2] && k.dims[1] > 0 && q.dims[1] % k.dims[1] == 0, "attention: N is a multiple of K");
  require(first.dtype == Dtype::i32 && vector(first, q.rows()), "attention: first is (T) i32");
  require(last.dtype == Dtype::i32 && vector(last, q.rows()), "attention: last is (T) i32");
  require(matrix(log_sum, q.rows(), q.dims[1]) && wide(log_sum), "attention: log_sum is (T, N) and wide");
}

void attention_merge(In part, In part_log_sum, Out y, Out log_sum) {
  require(y.dims.count == 3 && same(part, y) && wide(y), "attention_merge: part and y are (T, N, H) and wide");
  require(same(part_log_sum, log_sum) && log_sum.dtype == y.dtype && matrix(log_sum, y.rows(), y.dims[1]),
          "attention_merge: part_log_sum and log_sum are (T, N), of y's dtype");
}

void attention_backward(In q, In k, In v, In first, In last, In y, In log_sum, In dy, Out dq, Out dk, Out dv) {
  attention(q, k, v, first, last, y, log_sum);
  require(same(y, q) && same(dy, q), "attention_backward: y, dy and q are alike");
  require(dq.dims == q.dims && (dq.dtype == q.dtype || wide(dq)), "attention_backward: dq is as q");
  require(dk.dims == k.dims && (dk.dtype == k.dtype || wide(dk)), "attention_backward: dk is as k");
  require(dv.dims == v.dims && dv.dtype == dk.dtype, "attention_backward: dv is as dk");
}

void swiglu(In gate, In up, Out y) {
  require(same(gate, y) && same(up, y), "swiglu: gate, up and y are alike");
}

void swiglu_backward(In gate, In up, In dy, Out dgate, Out dup) {
  require(same(gate, up) && same(gate, dy) && same(gate, dgate) && same(gate, dup), "swiglu_backward: all are alike");
}

void head_statistics(In logits, In targets, Out statistics) {
  require(targets.dtype == Dtype::i32 && vector(targets, logits.rows()), "head_statistics: targets are (T) i32");
  require(matrix(statistics, logits.rows(), head_statistics_columns) && wide(statistics),
          "head_statistics: statistics are (T, 4) and wide");
}

void head_fold(In pieces, Out statistics) {
  require(matrix(statistics, statistics.rows(), head_statistics_columns) && wide(statistics),
          "head_fold: statistics are (T, 4) and wide");
  require(pieces.dtype == statistics.dtype && pieces.row_elements() == head_statistics_columns,
          "head_fold: pieces are (P * T, 4), of the dtype of statistics");
  require(statistics.rows() == 0 ? pieces.rows() == 0 : pieces.rows() > 0 && pieces.rows() % statistics.rows() == 0,
          "head_fold: every piece has all rows");
}

void head_losses(In statistics, In targets, Out losses) {
  require(statistics.row_elements() == head_statistics_columns && wide(statistics),
          "head_losses: statistics are (T, 4)");
  require(targets.dtype == Dtype::i32 && vector(targets, statistics.rows()), "head_losses: targets are (T) i32");
  require(vector(losses, statistics.rows()) && wide(losses), "head_losses: losses are (T) and wide");
}

void head_backward(In logits, In statistics, In targets, In weights, Out dlogits) {
  head_statistics(logits, targets, statistics);
  require(vector(weights, logits.rows()) && wide(weights), "head_backward: weights are (T) and wide");
  require(dlogits.dims == logits.dims && is_float(dlogits.dtype), "head_backward: dlogits is as logits");
}

void squared_norm(In x, Out sums) {
  require(wide(x) && x.unpitched(), "squared_norm: x is a wide vector");
  require(sums.dtype == Dtype::f64 && vector(sums, (x.elements() + norm_chunk - 1) / norm_chunk),
          "squared_norm: sums has one f64 for each chunk");
}

void adamw(In gradient, In control, Out weight, Out first_moment, Out second_moment) {
  const std::int64_t count = weight.elements();
  require(vector(weight, count) && wide(weight), "adamw: weight is a wide vector");
  for (const Tensor* other : {&gradient, &first_moment, &second_moment}) {
    require(vector(*other, count) && other->dtype == weight.dtype, "adamw: gradient and moments are as weight");
  }
  require(vector(control, 2) && wide(control), "adamw: control is (2)");
}

}  // namespace hearth::check
