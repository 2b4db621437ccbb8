// The mathematics of one device: one table of pure virtual functions, so that a backend which lacks an op does not compile.
//
// Letters: T tokens (rows), D model width, F hidden width, N query heads, K key-value heads, H head width, V vocabulary.
// Conventions, true of every op unless its own lines say otherwise:
//   * Arguments are inputs, attributes, outputs, in that order.
//   * The first line says `y =` (overwritten: what y held before, NaN included, does not matter) or `dx +=` (added to).
//   * Outputs do not overlap inputs or each other. Tensors may be pitched; elements between rows are never touched.
//   * "Float" tensors are f32 or bf16 (the plain truth also takes f64); all float tensors of a call share one dtype unless
//     their line names another. Sums are formed in f32 (f64 by the truth) and rounded once when stored.
//   * The order of every sum depends on the shapes alone, never on the number of threads: same input, same bits.
//   * Zero rows are legal and do nothing (an overwritten output of zero elements; an added-to one unchanged).
//   * Ops are asynchronous on devices with streams: no op makes the host wait.
#pragma once

#include <cstdint>

#include "base/tensor.h"

namespace hearth {

/// Whether a matrix is read as it lies or transposed.
enum class Turn { no, yes };
/// Whether a product overwrites its output or is added to it.
enum class Write { over, add };

/// What attention needs besides its tensors.
struct AttentionShape {
  float scale = 0;          // scores = scale * q k^T; usually 1 / sqrt(H)
  std::int64_t window = 0;  // a query sees at most its last `window` keys, itself included; 0: all
  bool part = false;        // k and v may be a part of what the queries see; y and log_sum in the adjoint are of all
};

/// One AdamW update (Loshchilov and Hutter 2019, as torch.optim.AdamW): decay first, then the bias-corrected step.
struct AdamW {
  double rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double decay = 0;       // decoupled: weight -= rate * decay * weight
  std::int64_t step = 1;  // from 1, for the bias corrections
};

/// Chunk of the sums over flat parameters: squared_norm gives one f64 for each, shards are cut at multiples of it.
constexpr std::int64_t norm_chunk = 256;

/// Columns of the per-row statistics of a head: the largest logit, sum of exp(logit - largest), the target's logit, the
/// sum of logits.
enum class HeadStatistic { largest, exponentials, target, total };
constexpr std::int64_t head_statistics_columns = 4;

class Ops {
 public:
  virtual ~Ops() = default;

  // ---- memory

  /// y = value.    y: any dims, any float dtype or i32.
  virtual void fill(double value, Out y) = 0;
  /// y = x, rounded to y's dtype (nearest even).    x, y: same dims, any float dtypes (f64 included).
  virtual void cast(In x, Out y) = 0;
  /// y += x.    x, y: same dims; x and y any of f32, bf16 (f64 in the truth): added in f32, rounded once. x may be y.
  virtual void add(In x, Out y) = 0;
  /// y = a + b.    a, b, y: same dims and dtype. y may be a or b.
  virtual void sum(In a, In b, Out y) = 0;
  /// y *= factor.
  virtual void scale(double factor, Out y) = 0;

  // ---- products

  /// y = scale * op(a) op(b), or y += with Write::add.
  ///   op(a): (M, L)   op(b): (L, P)   y: (M, P); two dims each, a and b of one dtype, y of that dtype or f32.
  /// The sum over L is in f32 (bf16 arguments widened exactly or multiplied natively, one of the two for the life of the
  /// backend); its order depends on (M, L, P), the turns and the dtype alone. With Write::add an f32 y may take part in that
  /// sum as its first term; to a bf16 y the sum is added in f32 and rounded once.
  virtual void matmul(In a, Turn turn_a, In b, Turn turn_b, double scale, Write write, Out y) = 0;
  /// y += bias, to every row.    bias: (O)   y: (T, O)
  virtual void add_bias(In bias, Out y) = 0;
  /// db += scale * column sums of dy.    dy: (T, O)   db: (O), f32 (f64 in the truth).
  virtual void bias_backward(In dy, double scale, Out db) = 0;

  // ---- embedding

  /// y[t] = table[tokens[t] - first], zeros where that row is not in the table.
  ///   tokens: (T) i32   table: (rows, D)   y: (T, D)
  virtual void embedding(In tokens, In table, std::int64_t first, Out y) = 0;
  /// dtable[tokens[t] - first] += dy[t], rows in order of t; tokens outside the table are skipped.
  ///   tokens: (T) i32   dy: (T, D)   dtable: (rows, D), f32 (f64 in the truth).
  virtual void embedding_backward(In tokens, In dy, std::int64_t first, Out dtable) = 0;

  // ---- root-mean-square norm (Zhang and Sennrich 2019)

  /// y = x / rms(x) * gain, row by row, rms(x) = sqrt(mean(x^2) + epsilon); also inverse_rms = 1 / rms(x).
  ///   x, y: (T, D)   gain: (D)   inverse_rms: (T), f32 (f64 in the truth).    y may be x.
  virtual void rms_norm(In x, In gain, double epsilon, Out y, Out inverse_rms) = 0;
  /// dx += the adjoint of rms_norm at x applied to dy.    x, dy, dx: (T, D)   gain: (D)   inverse_rms: (T)
  virtual void rms_norm_backward(In x, In gain, In inverse_rms, In dy, Out dx) = 0;
  /// x_hat = x * inverse_rms, row by row (what the gain multiplies).    x, x_hat: (T, D); x_hat may be x.
  virtual void rms_normalize(In x, In inverse_rms, Out x_hat) = 0;
  /// dgain += sum over rows of x_hat * dy.    x_hat, dy: (T, D)   dgain: (D), f32 (f64 in the truth).
  virtual void gain_backward(In x_hat, In dy, Out dgain) = 0;

  // ---- rotary position embedding (Su et al. 2021), halves rotated as Hugging Face Llama does (j with j + H/2)

  /// cosine = factor * cos(positions * frequencies), sine likewise.
  ///   positions: (T) i32   frequencies: (H/2), f32   cosine, sine: (T, H/2), f32 (f64 in the truth).
  /// Angle, cosine and sine are formed in f64 and rounded once: an angle in f32 is off by 6e-8 of itself, which at position
  /// 1000 is a thousand roundings of the cosine (Hugging Face forms it in f32).
  virtual void rotary_table(In positions, In frequencies, double factor, Out cosine, Out sine) = 0;
  /// y = x rotated by the angle of its row; Turn::yes rotates back, which is the adjoint (times factor^2 = 1 or not:
  /// the table's factor scales both directions).    x, y: (T, heads, H); y may be x.
  virtual void rotate(In x, In cosine, In sine, Turn back, Out y) = 0;

  // ---- attention over packed documents, grouped queries

  /// y = softmax(scale * q k^T) v, where query t sees the keys [first[t], last[t]), of these only the last `window` if set;
  /// log_sum = the logarithm of the sum of exp(scores). A query that sees no key gets y = 0 and log_sum = -infinity.
  ///   q, y: (T, N, H)   k, v: (S, K, H), N a multiple of K, query head n reads key head n / (N / K)
  ///   first, last: (T) i32, 0 <= first <= last <= S, both non-decreasing in t   log_sum: (T, N), f32 (f64 in the truth)
  ///   y: of q's dtype or f32
  /// Online softmax in tiles (Dao et al. 2022): never a (T, S) matrix.
  virtual void attention(In q, In k, In v, In first, In last, AttentionShape shape, Out y, Out log_sum) = 0;
  /// y, log_sum = attention over two disjoint sets of keys, from attention over each: y and log_sum hold the one before
  /// and both after, `part` and `part_log_sum` are the other. Of no keys at all: y = 0, log_sum = -infinity.
  ///   part, y: (T, N, H)   part_log_sum, log_sum: (T, N); all f32 (f64 in the truth)
  /// With S = log(exp(log_sum) + exp(part_log_sum)):  y = exp(log_sum - S) y + exp(part_log_sum - S) part, log_sum = S.
  virtual void attention_merge(In part, In part_log_sum, Out y, Out log_sum) = 0;
  /// dq +=, dk +=, dv += the adjoint of attention applied to dy.
  ///   y: of q's dtype   log_sum: as attention gave it   dq, dk, dv: as q, k, v; each of q's dtype or f32.
  /// Where k and v are a part of the keys (shape.part), y and log_sum are those of all keys, and what is added is the
  /// part's share. Where they are all of them, backends may use it: a row of the scores' gradient sums to zero.
  virtual void attention_backward(In q, In k, In v, In first, In last, AttentionShape shape, In y, In log_sum, In dy,
                                  Out dq, Out dk, Out dv) = 0;

  // ---- gated linear unit (Shazeer 2020)

  /// y = silu(gate) * up.    all (T, F); y may be gate or up.
  virtual void swiglu(In gate, In up, Out y) = 0;
  /// dgate =, dup = the adjoint.    all (T, F); dgate may be gate, dup may be up.
  virtual void swiglu_backward(In gate, In up, In dy, Out dgate, Out dup) = 0;

  // ---- language-model head, on a chunk of rows

  /// statistics = of each row over its V columns (see HeadStatistic); the target's logit is 0 where the target is not in
  /// [first, first + V).    logits: (T, V) any float   targets: (T) i32, -1 = none   statistics: (T, 4), f32 (f64)
  virtual void head_statistics(In logits, In targets, std::int64_t first, Out statistics) = 0;
  /// statistics = of each row over a vocabulary that is cut into P pieces, from those of the pieces (of which some may
  /// have no columns: largest -infinity, the others 0).
  ///   pieces: (P * T, 4), all rows of a piece together   statistics: (T, 4); f32 (f64). Pieces are added in order.
  virtual void head_fold(In pieces, Out statistics) = 0;
  /// losses = (1 - smoothing) * -log p(target) + smoothing * mean over the vocabulary of -log p, 0 where there is no target
  /// (not multiplied by the weight).    statistics: (T, 4) of the whole vocabulary   targets: (T)   losses: (T), f32 (f64)
  virtual void head_losses(In statistics, In targets, double smoothing, std::int64_t vocabulary, Out losses) = 0;
  /// dlogits = weight * (p - (1 - smoothing) * [column = target] - smoothing / vocabulary); 0 where there is no target.
  ///   logits: (T, V)   statistics: (T, 4)   targets: (T) i32   weights: (T), f32   dlogits: (T, V), float; may be logits.
  virtual void head_backward(In logits, In statistics, In targets, In weights, std::int64_t first, double smoothing,
                             std::int64_t vocabulary, Out dlogits) = 0;

  // ---- flat parameters

  /// sums[i] = sum of x^2 over the i-th chunk of norm_chunk elements, in f64, in an order that depends on the chunk's length
  /// alone: the same bits on every processor.
  ///   x: (n), f32 (or f64)   sums: (ceil(n / norm_chunk)), f64
  virtual void squared_norm(In x, Out sums) = 0;
  /// One AdamW update of `weight` and its moments.
  ///   gradient: (n), f32   control: (2), f32: [factor on the gradient, 1 to update or 0 to leave everything unchanged]
  ///   weight, first_moment, second_moment: (n), f32 (all f64 in the truth)
  virtual void adamw(In gradient, In control, const AdamW& update, Out weight, Out first_moment, Out second_moment) = 0;
};

}  // namespace hearth
