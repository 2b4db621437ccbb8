// Attention by tiles with an online softmax (Dao et al. 2022), one unit of work at a time. A row is a (query, head)
// pair; the rows of one unit are in order of queries, so `first` and `last` never decrease from row to row.
#pragma once

#include "kernels/cpu/isa/micro_kernel.h"
#include "kernels/cpu/loops.h"

extern "C" float logf(float);

namespace {

using hearth::cpu::AttentionForward;
using hearth::cpu::AttentionLayout;

constexpr std::int64_t key_block = tile_pitch;
constexpr std::int64_t unit_rows = 480;  // what one packing of a key block is used for
constexpr std::int64_t thin_rows = 4;    // up to here (generation) keys and values are read as they lie

std::int64_t attention_rows() {
  return unit_rows;
}
std::int64_t attention_keys() {
  return key_block;
}
std::int64_t attention_width(std::int64_t width) {
  return round_up(width, lanes);
}

std::int64_t attention_floats(const AttentionLayout& in) {
  const std::int64_t rows = round_up(larger(unit_rows, in.group), panel_rows);
  const std::int64_t width = attention_width(in.width);
  return rows * width * 2 + round_up(rows, 16) * 2 + key_block * width * 2 + panel_rows * tile_pitch;
}

// Everything one unit works on.
struct ForwardUnit {
  std::int64_t from, rows;  // first query, number of rows
  std::int64_t width;       // whole vectors that hold H
  float* q;                 // thin: (rows, width); else panels turned, [panel][H][panel_rows]
  float* sums;              // (rows, width), what becomes y
  float* largest;           // (rows)
  float* total;             // (rows), sum of exp(score - largest)
  float* k;                 // panels turned, [panel][H][panel_columns]
  float* v;                 // (keys, width)
  float* tile;              // (panel_rows, tile_pitch)
};

struct Columns {
  std::int64_t from, to;
};

// The columns of key block [k0, k0 + n) that the rows of queries [t0, t1] see, together.
HEARTH_INLINE Columns seen(const AttentionLayout& in, std::int64_t t0, std::int64_t t1, std::int64_t k0,
                           std::int64_t n) {
  return {larger(in.first[t0] - k0, 0), smaller(in.last[t1] - k0, n)};
}

// tile row [c.from, c.to): scores -> exp(score - largest), zero outside [x.from, x.to); sums and earlier parts follow.
void soften(const ForwardUnit& unit, std::int64_t row, float scale, float* scores, Columns c, Columns x) {
  for (std::int64_t i = c.from; i < smaller(x.from, c.to); ++i) scores[i] = 0;
  for (std::int64_t i = larger(x.to, c.from); i < c.to; ++i) scores[i] = 0;
  if (x.from >= x.to) return;
  F most = vset(-__builtin_inff());
  vectors(x.to - x.from, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    most = vmax(most, keep(load(scores + x.from + i, count) * scale, count, -__builtin_inff()));
  });
  const float before = unit.largest[row];
  const float top = fold_max(most);
  const float now = top > before ? top : before;
  F total = vzero();
  vectors(x.to - x.from, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    const F p = vexp(load(scores + x.from + i, count) * scale - now);
    total += keep(p, count, 0.0F);
    store(scores + x.from + i, p, count);
  });
  float factor = 1;
  if (now != before) {
    float part[lanes];
    store(part, vexp(vset(before - now)));
    factor = part[0];
    float* sums = unit.sums + row * unit.width;
    for (std::int64_t h = 0; h < unit.width; h += lanes) store(sums + h, load(sums + h) * factor);
  }
  unit.largest[row] = now;
  unit.total[row] = unit.total[row] * factor + fold_sum(total);
}

// One panel of rows against one key block.
void panel_against_block(const AttentionLayout& in, const ForwardUnit& unit, std::int64_t row, std::int64_t k0,
                         std::int64_t n) {
  const std::int64_t rows = smaller(panel_rows, unit.rows - row);
  const Columns c = seen(in, unit.from + row / in.group, unit.from + (row + rows - 1) / in.group, k0, n);
  if (c.from >= c.to) return;
  for (std::int64_t j = round_down(c.from, panel_columns); j < c.to; j += panel_columns) {
    panel_product<2, Left::across, false>(unit.q + row * in.width, panel_rows, unit.k + j * in.width, panel_columns,
                                          in.width, unit.tile + j, tile_pitch);
  }
  for (std::int64_t i = 0; i < panel_rows; ++i) {
    const std::int64_t t = unit.from + (row + i) / in.group;
    const Columns x = i < rows ? seen(in, t, t, k0, n) : Columns{c.to, c.to};
    soften(unit, row + (i < rows ? i : 0), in.scale, unit.tile + i * tile_pitch, c, x);
  }
  row_product<Left::along, true>(unit.tile + c.from, 0, unit.v + c.from * unit.width, unit.width, c.to - c.from,
                                 unit.sums + row * unit.width, unit.width, unit.width);
}

// Few rows against one key block, keys and values read where they lie.
template <class S>
void thin_against_block(const AttentionLayout& in, const ForwardUnit& unit, std::int64_t head, std::int64_t k0,
                        std::int64_t n) {
  const S* keys = static_cast<const S*>(in.k) + k0 * in.k_pitch + head * in.width;
  const S* values = static_cast<const S*>(in.v) + k0 * in.v_pitch + head * in.width;
  for (std::int64_t row = 0; row < unit.rows; ++row) {
    const std::int64_t t = unit.from + row / in.group;
    const Columns x = seen(in, t, t, k0, n);
    if (x.from >= x.to) continue;
    const float* q = unit.q + row * unit.width;
    float* sums = unit.sums + row * unit.width;
    for (std::int64_t j = x.from; j < x.to; ++j) {
      const S* key = keys + j * in.k_pitch;
      F total = vzero();
      vectors(in.width, [&](std::int64_t h, std::int64_t count)
                            HEARTH_LAMBDA { total = vfma(load(q + h), load(key + h, count), total); });
      unit.tile[j] = fold_sum(total);
    }
    soften(unit, row, in.scale, unit.tile, x, x);
    for (std::int64_t j = x.from; j < x.to; ++j) {
      const S* value = values + j * in.v_pitch;
      const F p = vset(unit.tile[j]);
      vectors(in.width, [&](std::int64_t h, std::int64_t count)
                            HEARTH_LAMBDA { store(sums + h, vfma(p, load(value + h, count), load(sums + h))); });
    }
  }
}

// q of the unit's rows, as panels turned or (thin) as rows; sums and statistics empty.
template <class S>
void begin(const AttentionLayout& in, const ForwardUnit& unit, std::int64_t head, bool thin) {
  for (std::int64_t i = 0; i < round_up(unit.rows, panel_rows) * unit.width; ++i) unit.sums[i] = 0;
  for (std::int64_t row = 0; row < round_up(unit.rows, panel_rows); ++row) {
    const std::int64_t column = (head * in.group + row % in.group) * in.width;
    const S* q = static_cast<const S*>(in.q) + (unit.from + row / in.group) * in.q_pitch + column;
    float* turned = unit.q + row / panel_rows * in.width * panel_rows + row % panel_rows;
    for (std::int64_t h = 0; h < unit.width; h += lanes) {
      const std::int64_t count = larger(0, smaller(lanes, in.width - h));
      const F part = row < unit.rows ? load(q + h, count) : vzero();
      if (thin) {
        if (row < unit.rows) store(unit.q + row * unit.width + h, part);
        continue;
      }
      float elements[lanes];
      store(elements, part);
      for (std::int64_t i = 0; i < count; ++i) turned[(h + i) * panel_rows] = elements[i];
    }
    if (row >= unit.rows) continue;
    unit.largest[row] = -__builtin_inff();
    unit.total[row] = 0;
  }
}

template <class Y>
void finish(const AttentionForward& call, const ForwardUnit& unit, std::int64_t head) {
  const AttentionLayout& in = call.in;
  for (std::int64_t row = 0; row < unit.rows; ++row) {
    const std::int64_t t = unit.from + row / in.group;
    const std::int64_t n = head * in.group + row % in.group;
    const float total = unit.total[row];
    const bool none = in.first[t] >= in.last[t];
    const float inverse = none ? 0.0F : 1.0F / total;
    Y* y = static_cast<Y*>(call.y) + t * call.y_pitch + n * in.width;
    const float* sums = unit.sums + row * unit.width;
    vectors(in.width,
            [&](std::int64_t h, std::int64_t count) HEARTH_LAMBDA { store(y + h, load(sums + h) * inverse, count); });
    call.log_sum[t * call.log_sum_pitch + n] = none ? -__builtin_inff() : unit.largest[row] + logf(total);
  }
}

template <class S>
void attention_of(const AttentionForward& call, std::int64_t head, std::int64_t from, std::int64_t to,
                  float* workspace) {
  const AttentionLayout& in = call.in;
  const std::int64_t rows = (to - from) * in.group;
  const std::int64_t padded = round_up(rows, panel_rows);
  const bool thin = rows <= thin_rows;
  ForwardUnit unit{from,    rows,   attention_width(in.width), workspace, nullptr, nullptr, nullptr, nullptr,
                   nullptr, nullptr};
  unit.sums = unit.q + padded * unit.width;
  unit.largest = unit.sums + padded * unit.width;
  unit.total = unit.largest + round_up(padded, 16);
  unit.k = unit.total + round_up(padded, 16);
  unit.v = unit.k + key_block * unit.width;
  unit.tile = unit.v + key_block * unit.width;
  begin<S>(in, unit, head, thin);
  for (std::int64_t k0 = in.first[from]; k0 < in.last[to - 1]; k0 += key_block) {
    const std::int64_t n = smaller(key_block, in.last[to - 1] - k0);
    if (thin) {
      thin_against_block<S>(in, unit, head, k0, n);
      continue;
    }
    const std::int64_t column = head * in.width;
    pack_turned<panel_columns>(static_cast<const S*>(in.k) + k0 * in.k_pitch + column, in.k_pitch, n, in.width, unit.k);
    pack_rows(static_cast<const S*>(in.v) + k0 * in.v_pitch + column, in.v_pitch, n, in.width, unit.width, unit.v);
    for (std::int64_t row = 0; row < rows; row += panel_rows) panel_against_block(in, unit, row, k0, n);
  }
  if (call.y_storage == 0) return finish<float>(call, unit, head);
  finish<Word>(call, unit, head);
}

void attention(const AttentionForward& call, std::int64_t head, std::int64_t from, std::int64_t to, float* workspace) {
  if (call.in.storage == 0) return attention_of<float>(call, head, from, to, workspace);
  attention_of<Word>(call, head, from, to, workspace);
}

}  // namespace
