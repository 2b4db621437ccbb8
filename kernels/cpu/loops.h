// The inner loops of the CPU backend as a table of functions, one table for each instruction set. Only plain pointers
// and counts cross this boundary: the files behind it are compiled with wider instructions than the rest of the
// program, and nothing inline may be shared with them, or the linker could pick their copy for everybody.
//
// Storage index: 0 f32, 1 bf16 (as 16-bit words). Every loop gives an element the same bits wherever it lies in a row.
#pragma once

#include <cstdint>

namespace hearth::cpu {

constexpr int storages = 2;

/// What one AdamW step needs, settled in f64 and rounded once.
struct AdamWFactors {
  float gradient;      // factor on the gradient
  float decay;         // rate * decay
  float beta1, rest1;  // beta1, 1 - beta1
  float beta2, rest2;
  float inverse_root;  // 1 / sqrt(1 - beta2^step)
  float epsilon;
  float step;  // rate / (1 - beta1^step)
};

/// Where attention's inputs lie; letters and ranges as in ops.h.
struct AttentionLayout {
  const void* q;  // (T, N * H), pitch in elements
  std::int64_t q_pitch;
  const void* k;
  std::int64_t k_pitch;
  const void* v;
  std::int64_t v_pitch;
  const std::int32_t* first;  // (T), the window already applied
  const std::int32_t* last;
  std::int64_t tokens;  // T
  std::int64_t keys;    // S
  std::int64_t heads;   // N
  std::int64_t group;   // N / K
  std::int64_t width;   // H
  float scale;
  int storage;
  bool part;  // a query may see other keys too
};

struct AttentionForward {
  AttentionLayout in;
  void* y;
  std::int64_t y_pitch;
  int y_storage;
  float* log_sum;
  std::int64_t log_sum_pitch;
};

struct AttentionBackward {
  AttentionLayout in;
  const void* y;
  std::int64_t y_pitch;
  const float* log_sum;
  std::int64_t log_sum_pitch;
  const void* dy;
  std::int64_t dy_pitch;
  void* dq;
  std::int64_t dq_pitch;
  int dq_storage;
};

struct Loops {
  // ---- elementwise, n elements
  void (*cast[storages][storages])(const void* x, void* y, std::int64_t n);  // [x][y]
  void (*add[storages][storages])(const void* x, void* y, std::int64_t n);   // y += x
  void (*sum[storages])(const void* a, const void* b, void* y, std::int64_t n);
  void (*scale[storages])(float factor, void* y, std::int64_t n);
  void (*blend)(float a, float b, const float* x, float* y, std::int64_t n);  // y = a * y + b * x
  void (*swiglu[storages])(const void* gate, const void* up, void* y, std::int64_t n);
  void (*swiglu_backward[storages])(const void* gate, const void* up, const void* dy, void* dgate, void* dup,
                                    std::int64_t n);
  void (*adamw)(const AdamWFactors& factors, const float* gradient, float* weight, float* first, float* second,
                std::int64_t n);
  /// sums[i] = sum of squares of the i-th chunk of norm_chunk elements, in f64: sixteen sums by index modulo 16, folded
  /// by halves, so that every instruction set has the same bits.
  void (*squares)(const float* x, double* sums, std::int64_t n);
  /// y = x scaled, or y += x scaled, from the f32 tile of a product.
  void (*store_tile[storages])(float scale, const float* x, void* y, bool add, std::int64_t n);

  // ---- columns [0, n) of `rows` rows
  /// sums += scale * column sums of x (times y where it is not null). pitches in elements.
  void (*column_sums[storages])(const void* x, std::int64_t x_pitch, const void* y, std::int64_t y_pitch,
                                std::int64_t rows, std::int64_t n, float scale, float* sums);

  // ---- one row of n elements
  float (*rms_norm[storages])(const void* x, const void* gain, float epsilon, void* y, std::int64_t n);
  void (*rms_norm_backward[storages])(const void* x, const void* gain, float inverse, const void* dy, void* dx,
                                      std::int64_t n);
  void (*rotate[storages])(const void* x, const float* cosine, const float* sine, float sign, void* y,
                           std::int64_t half);
  /// statistics of a row of logits: largest, sum of exp(x - largest), sum.
  void (*head_statistics[storages])(const void* logits, std::int64_t n, float* statistics);
  /// dlogits = weight * (exp(x - largest) / exponentials - rest)    [logits][dlogits]
  void (*head_backward[storages][storages])(const void* logits, float largest, float exponentials, float weight,
                                            float rest, void* dlogits, std::int64_t n);

  // ---- products of few rows with rows of b: y[i][j] = dot(a_i, b_j)
  /// `rows` <= few_rows rows of a, f32, against `columns` rows of b; result f32, `columns` wide.
  void (*dots[storages])(const float* a, std::int64_t a_pitch, std::int64_t rows, const void* b, std::int64_t b_pitch,
                         std::int64_t columns, std::int64_t length, float* y, std::int64_t y_pitch);

  // ---- attention
  std::int64_t (*attention_rows)();                          // rows (query, head) of one forward unit
  std::int64_t (*attention_floats)(const AttentionLayout&);  // workspace of one forward unit
  /// Queries [from, to) of all heads that share key head `head`.
  void (*attention)(const AttentionForward&, std::int64_t head, std::int64_t from, std::int64_t to, float* workspace);
  std::int64_t (*attention_backward_floats)(const AttentionLayout&);
  /// All queries of query heads [from, to), which share one key head: dq +=, and their dk, dv added to rows of
  /// attention_width(H) floats.
  void (*attention_backward)(const AttentionBackward&, std::int64_t from, std::int64_t to, float* dk, float* dv,
                             float* workspace);
  std::int64_t (*attention_width)(std::int64_t width);  // H rounded up to whole vectors
  std::int64_t (*attention_keys)();                     // rows of dk and dv beyond S that may be touched
};

constexpr std::int64_t few_rows = 4;

const Loops& loops_sse41();
const Loops& loops_avx2();
const Loops& loops_avx512();

}  // namespace hearth::cpu
