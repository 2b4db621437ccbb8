// The adjoint of attention for the query heads that share a key head, see attention.h. Scores are made again from q, k
// and log_sum:  P = exp(scale q k^T - log_sum), dS = scale P (dy v^T - rowsum(dy y)), dq += dS k, dk += dS^T q, dv +=
// P^T dy. Key blocks outside, row blocks inside, both in order of index: every sum has one order whatever the threads
// do.
#pragma once

#include "kernels/cpu/isa/attention.h"
#include "kernels/cpu/isa/elementwise.h"

namespace {

using hearth::cpu::AttentionBackward;

constexpr std::int64_t row_block = 96;
static_assert(row_block % panel_rows == 0);

std::int64_t attention_backward_floats(const AttentionLayout& in) {
  const std::int64_t rows = round_up(in.tokens, row_block);
  const std::int64_t width = attention_width(in.width);
  return rows * width * 5 + rows + key_block * width * 3 + row_block * tile_pitch * 2;
}

struct BackwardUnit {
  std::int64_t width;           // whole vectors that hold H
  float *q, *dy, *dq;           // (rows, width)
  float *q_turned, *dy_turned;  // [panel][H][panel_rows]
  float* delta;                 // (rows), sum of dy * y
  float *k_turned, *v_turned;   // [panel][H][panel_columns]
  float* k;                     // (keys, width)
  float *p, *ds;                // (row_block, tile_pitch)
  float *dk, *dv;               // (S and some, width)
};

template <class S>
void begin_head(const AttentionBackward& call, const BackwardUnit& unit, std::int64_t head) {
  const AttentionLayout& in = call.in;
  const std::int64_t rows = round_up(in.tokens, row_block);
  const S* q = static_cast<const S*>(in.q) + head * in.width;
  const S* y = static_cast<const S*>(call.y) + head * in.width;
  const S* dy = static_cast<const S*>(call.dy) + head * in.width;
  pack_rows(q, in.q_pitch, in.tokens, in.width, unit.width, unit.q);
  pack_rows(dy, call.dy_pitch, in.tokens, in.width, unit.width, unit.dy);
  pack_turned<panel_rows>(q, in.q_pitch, in.tokens, in.width, unit.q_turned);
  pack_turned<panel_rows>(dy, call.dy_pitch, in.tokens, in.width, unit.dy_turned);
  for (std::int64_t i = 0; i < rows * unit.width; ++i) unit.dq[i] = 0;
  for (std::int64_t t = 0; t < in.tokens; ++t) {
    F total = vzero();
    vectors(in.width, [&](std::int64_t h, std::int64_t count) HEARTH_LAMBDA {
      total = vfma(load(dy + t * call.dy_pitch + h, count), load(y + t * call.y_pitch + h, count), total);
    });
    unit.delta[t] = fold_sum(total);
  }
}

HEARTH_INLINE void clear(float* row, std::int64_t from, std::int64_t to) {
  for (std::int64_t i = from; i < to; ++i) row[i] = 0;
}

// P and dS of one row: what it sees computed, the rest of the block's columns zero.
void row_of_tile(const AttentionBackward& call, const BackwardUnit& unit, std::int64_t head, std::int64_t t, float* p,
                 float* ds, Columns block, Columns x, bool whole) {
  const float scale = call.in.scale;
  const float log_sum = call.log_sum[t * call.log_sum_pitch + head];
  clear(p, block.from, smaller(x.from, block.to));
  clear(ds, block.from, smaller(x.from, block.to));
  F soft_sum = vzero();
  F change_sum = vzero();
  vectors(x.to - x.from, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    const F soft = keep(vexp(load(p + x.from + i, count) * scale - log_sum), count, 0.0F);
    soft_sum = soft_sum + soft;
    change_sum = vfma(soft, keep(load(ds + x.from + i, count), count, 0.0F), change_sum);
    store(p + x.from + i, soft, count);
  });
  // A row of dS sums to zero, and what depends on that (key biases, keys that hardly turn) is what is left of large
  // numbers: where the tile holds all that the row sees, its own P and dP give the mean that makes it so to the last
  // roundings. (In f32; a y stored in bf16 is the y that the adjoint is taken at.)
  const float delta = whole ? fold_sum(change_sum) / fold_sum(soft_sum) : unit.delta[t];
  vectors(x.to - x.from, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    store(ds + x.from + i, load(p + x.from + i, count) * (load(ds + x.from + i, count) - delta) * scale, count);
  });
  clear(p, larger(x.to, block.from), block.to);
  clear(ds, larger(x.to, block.from), block.to);
}

// A panel of rows: its part of the tiles P and dS, and dq.
void panel_of_tile(const AttentionBackward& call, const BackwardUnit& unit, std::int64_t head, std::int64_t r0,
                   std::int64_t row, std::int64_t k0, std::int64_t n, Columns block) {
  const AttentionLayout& in = call.in;
  float* p = unit.p + (row - r0) * tile_pitch;
  float* ds = unit.ds + (row - r0) * tile_pitch;
  const std::int64_t rows = smaller(panel_rows, in.tokens - row);
  const Columns c = rows > 0 ? seen(in, row, row + rows - 1, k0, n) : Columns{0, 0};
  if (c.from >= c.to) {
    for (std::int64_t i = 0; i < panel_rows; ++i) {
      clear(p + i * tile_pitch, block.from, block.to);
      clear(ds + i * tile_pitch, block.from, block.to);
    }
    return;
  }
  for (std::int64_t j = round_down(c.from, panel_columns); j < c.to; j += panel_columns) {
    panel_product<2, Left::across, false>(unit.q_turned + row * in.width, panel_rows, unit.k_turned + j * in.width,
                                          panel_columns, in.width, p + j, tile_pitch);
    panel_product<2, Left::across, false>(unit.dy_turned + row * in.width, panel_rows, unit.v_turned + j * in.width,
                                          panel_columns, in.width, ds + j, tile_pitch);
  }
  for (std::int64_t i = 0; i < panel_rows; ++i) {
    const std::int64_t t = smaller(row + i, in.tokens - 1);
    Columns x = i < rows ? seen(in, t, t, k0, n) : Columns{block.to, block.to};
    if (x.from >= x.to) x = {block.to, block.to};
    const bool whole = in.storage == 0 && !in.part && i < rows && in.first[t] >= k0 && in.last[t] <= k0 + n;
    row_of_tile(call, unit, head, t, p + i * tile_pitch, ds + i * tile_pitch, block, x, whole);
  }
  row_product<Left::along, true>(ds + c.from, 0, unit.k + c.from * unit.width, unit.width, c.to - c.from,
                                 unit.dq + row * unit.width, unit.width, unit.width);
}

// dk and dv of the block's keys from the tiles of rows [r0, r1).
void keys_of_tile(const AttentionLayout& in, const BackwardUnit& unit, std::int64_t r0, std::int64_t r1,
                  std::int64_t k0, Columns block) {
  std::int64_t from = r0;
  for (std::int64_t j = block.from; j < block.to; j += panel_rows) {
    while (from < r1 && in.last[from] <= k0 + j) ++from;  // rows that end before this panel of keys
    std::int64_t to = from;
    while (to < r1 && in.first[to] < k0 + j + panel_rows) ++to;
    if (from >= to) continue;
    const std::int64_t at = (from - r0) * tile_pitch + j;
    row_product<Left::across, true>(unit.p + at, tile_pitch, unit.dy + from * unit.width, unit.width, to - from,
                                    unit.dv + (k0 + j) * unit.width, unit.width, unit.width);
    row_product<Left::across, true>(unit.ds + at, tile_pitch, unit.q + from * unit.width, unit.width, to - from,
                                    unit.dk + (k0 + j) * unit.width, unit.width, unit.width);
  }
}

void block_backward(const AttentionBackward& call, const BackwardUnit& unit, std::int64_t head, std::int64_t k0,
                    std::int64_t n) {
  const AttentionLayout& in = call.in;
  std::int64_t r = 0;
  while (r < in.tokens && in.last[r] <= k0) ++r;
  for (std::int64_t r0 = round_down(r, row_block); r0 < in.tokens; r0 += row_block) {
    const std::int64_t r1 = smaller(r0 + row_block, in.tokens);
    if (in.first[r0] >= k0 + n) break;
    const Columns c = seen(in, r0, r1 - 1, k0, n);
    if (c.from >= c.to) continue;
    const Columns block{round_down(c.from, panel_rows), round_up(c.to, panel_rows)};
    for (std::int64_t row = r0; row < r0 + row_block; row += panel_rows) {
      panel_of_tile(call, unit, head, r0, row, k0, n, block);
    }
    keys_of_tile(in, unit, r0, r1, k0, block);
  }
}

template <class S>
void attention_backward_of(const AttentionBackward& call, std::int64_t from, std::int64_t to,
                           const BackwardUnit& unit) {
  const AttentionLayout& in = call.in;
  if (in.tokens == 0) return;
  const std::int64_t column = from / in.group * in.width;
  const S* k = static_cast<const S*>(in.k) + column;
  const S* v = static_cast<const S*>(in.v) + column;
  for (std::int64_t head = from; head < to; ++head) {
    begin_head<S>(call, unit, head);
    const std::int64_t end = in.last[in.tokens - 1];
    for (std::int64_t k0 = in.first[0]; k0 < end; k0 += key_block) {
      const std::int64_t n = smaller(key_block, end - k0);
      pack_rows(k + k0 * in.k_pitch, in.k_pitch, n, in.width, unit.width, unit.k);
      pack_turned<panel_columns>(k + k0 * in.k_pitch, in.k_pitch, n, in.width, unit.k_turned);
      pack_turned<panel_columns>(v + k0 * in.v_pitch, in.v_pitch, n, in.width, unit.v_turned);
      block_backward(call, unit, head, k0, n);
    }
    for (std::int64_t t = 0; t < in.tokens; ++t) {
      const std::int64_t at = t * call.dq_pitch + head * in.width;
      const float* dq = unit.dq + t * unit.width;
      if (call.dq_storage == 0) {
        add<float, float>(dq, static_cast<float*>(call.dq) + at, in.width);
      } else {
        add<float, Word>(dq, static_cast<Word*>(call.dq) + at, in.width);
      }
    }
  }
}

void attention_backward(const AttentionBackward& call, std::int64_t from, std::int64_t to, float* dk, float* dv,
                        float* workspace) {
  const std::int64_t width = attention_width(call.in.width);
  const std::int64_t rows = round_up(call.in.tokens, row_block) * width;
  BackwardUnit unit{};
  unit.width = width;
  unit.q = workspace;
  unit.dy = unit.q + rows;
  unit.dq = unit.dy + rows;
  unit.q_turned = unit.dq + rows;
  unit.dy_turned = unit.q_turned + rows;
  unit.k_turned = unit.dy_turned + rows;
  unit.v_turned = unit.k_turned + key_block * width;
  unit.k = unit.v_turned + key_block * width;
  unit.p = unit.k + key_block * width;
  unit.ds = unit.p + row_block * tile_pitch;
  unit.delta = unit.ds + row_block * tile_pitch;
  unit.dk = dk;
  unit.dv = dv;
  if (call.in.storage == 0) return attention_backward_of<float>(call, from, to, unit);
  attention_backward_of<Word>(call, from, to, unit);
}

}  // namespace
