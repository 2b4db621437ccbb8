#include <cmath>
#include <limits>

#include "kernels/check.h"
#include "kernels/cpu/cpu_ops.h"

namespace hearth::cpu {

namespace {
std::int64_t whole_lines(std::int64_t floats) {
  return ceil_divide(floats, 16) * 16;
}
}  // namespace

AttentionLayout CpuOps::layout(In q, In k, In v, In first, In last, AttentionShape shape) {
  const std::int32_t* firsts = first.typed<std::int32_t>();
  const std::int32_t* lasts = last.typed<std::int32_t>();
  if (shape.window > 0) {
    auto* limited =
        static_cast<std::int32_t*>(ranges_.bytes(static_cast<std::size_t>(q.rows()) * sizeof(std::int32_t)));
    for (std::int64_t t = 0; t < q.rows(); ++t) {
      limited[t] = static_cast<std::int32_t>(std::max<std::int64_t>(firsts[t], lasts[t] - shape.window));
    }
    firsts = limited;
  }
  return {.q = q.data,
          .q_pitch = q.pitch,
          .k = k.data,
          .k_pitch = k.pitch,
          .v = v.data,
          .v_pitch = v.pitch,
          .first = firsts,
          .last = lasts,
          .tokens = q.rows(),
          .keys = k.rows(),
          .heads = q.dims[1],
          .group = q.dims[1] / k.dims[1],
          .width = q.dims[2],
          .scale = shape.scale,
          .storage = storage(q),
          .part = shape.part};
}

// Floats of one thread.
std::int64_t CpuOps::attention_room(const AttentionLayout& in) const {
  return whole_lines(loops_.attention_floats(in));
}

// How an adjoint is cut into units, and the floats that it needs.
struct CpuOps::AdjointRoom {
  std::int64_t parts;    // of one key head
  std::int64_t units;    // in all
  std::int64_t width;    // of a row of sums
  std::int64_t sums;     // of dk, and again of dv
  std::int64_t room;     // of one thread
  std::int64_t holders;  // that have sums
  std::int64_t floats(int threads) const { return room * threads + 2 * sums * holders; }
};

CpuOps::AdjointRoom CpuOps::adjoint_room(const AttentionLayout& in) const {
  constexpr std::int64_t enough_key_heads = 8;
  const std::int64_t key_heads = in.heads / in.group;
  AdjointRoom of{};
  of.parts = key_heads >= enough_key_heads ? 1 : in.group;
  of.units = key_heads * of.parts;
  of.width = loops_.attention_width(in.width);
  of.sums = whole_lines((in.keys + loops_.attention_keys()) * of.width);
  of.room = whole_lines(loops_.attention_backward_floats(in));
  of.holders = of.parts == 1 ? std::min<std::int64_t>(of.units, team_.threads()) : of.units;
  return of;
}

std::size_t CpuOps::workspace_bytes(const Workload& work) {
  std::int64_t products = 0;
  for (const ProductShape& shape : work.products) products = std::max(products, products_.workspace_floats(shape));
  std::int64_t floats = 0;
  std::int64_t ranges = 0;
  for (const AttentionCall& call : work.attentions) {
    AttentionLayout in{};
    in.tokens = call.tokens;
    in.keys = call.keys;
    in.heads = call.heads;
    in.group = call.heads / call.key_value_heads;
    in.width = call.head_width;
    floats = std::max(floats, attention_room(in) * team_.threads());
    if (call.backward) floats = std::max(floats, adjoint_room(in).floats(team_.threads()));
    if (call.window) ranges = std::max(ranges, call.tokens);
  }
  std::size_t bytes = 0;
  for (const std::int64_t count : {products, floats, ranges}) {  // ranges are i32, as wide as floats
    if (count > 0) bytes += Memory::room(static_cast<std::size_t>(count) * sizeof(float));
  }
  return bytes;
}

// A unit is some queries with all the heads that share one key head. Rows of the result are independent of each other,
// so the cut changes speed only.
void CpuOps::attention(In q, In k, In v, In first, In last, AttentionShape shape, Out y, Out log_sum) {
  check::attention(q, k, v, first, last, y, log_sum);
  if (q.rows() == 0) return;
  const AttentionForward call{
      layout(q, k, v, first, last, shape), y.data, y.pitch, storage(y), log_sum.typed<float>(), log_sum.pitch};
  const std::int64_t queries = std::max<std::int64_t>(1, loops_.attention_rows() / call.in.group);
  const std::int64_t room = attention_room(call.in);
  float* const workspace = workspace_.floats(room * team_.threads());
  const std::int64_t key_heads = k.dims[1];
  const std::int64_t cuts = ceil_divide(q.rows(), queries);
  team_.each(cuts * key_heads, [&](std::int64_t piece, int thread) {
    // Last queries first: they see most keys, and short pieces at the end even out the threads.
    const std::int64_t from = (cuts - 1 - piece / key_heads) * queries;
    loops_.attention(call, piece % key_heads, from, std::min(from + queries, q.rows()), workspace + thread * room);
  });
}

void CpuOps::attention_merge(In part, In part_log_sum, Out y, Out log_sum) {
  check::attention_merge(part, part_log_sum, y, log_sum);
  constexpr double none = -std::numeric_limits<double>::infinity();
  const std::int64_t width = y.dims[2];
  rows(y, [&](std::int64_t t) {
    const float* part_log_sums = part_log_sum.row<float>(t);
    float* log_sums = log_sum.row<float>(t);
    for (std::int64_t n = 0; n < y.dims[1]; ++n) {
      const double a = log_sums[n];
      const double b = part_log_sums[n];
      if (a == none && b == none) continue;  // neither has seen a key, and infinity - infinity is no number
      const double both = std::max(a, b) + std::log1p(std::exp(-std::abs(a - b)));
      loops_.blend(static_cast<float>(std::exp(a - both)), static_cast<float>(std::exp(b - both)),
                   part.row<float>(t) + n * width, y.row<float>(t) + n * width, width);
      log_sums[n] = static_cast<float>(both);
    }
  });
}

// A unit is one key head with its query heads, in order; where key heads are few, one query head, and the parts of dk
// and dv are added in order of heads afterwards.
void CpuOps::attention_backward(In q, In k, In v, In first, In last, AttentionShape shape, In y, In log_sum, In dy,
                                Out dq, Out dk, Out dv) {
  check::attention_backward(q, k, v, first, last, y, log_sum, dy, dq, dk, dv);
  if (q.rows() == 0 || k.rows() == 0) return;
  const AttentionBackward call{layout(q, k, v, first, last, shape),
                               y.data,
                               y.pitch,
                               log_sum.typed<float>(),
                               log_sum.pitch,
                               dy.data,
                               dy.pitch,
                               dq.data,
                               dq.pitch,
                               storage(dq)};
  const AttentionLayout& in = call.in;
  const std::int64_t key_heads = k.dims[1];
  const AdjointRoom of = adjoint_room(in);
  const std::int64_t parts = of.parts;
  const std::int64_t width = of.width;
  const std::int64_t sums = of.sums;
  const std::int64_t room = of.room;
  float* const workspace = workspace_.floats(of.floats(team_.threads()));
  float* const partial = workspace + room * team_.threads();
  // Rows [from, to) of what `unit` holds onto the gradients of its key head.
  const auto deliver = [&](const float* held, std::int64_t unit, std::int64_t from, std::int64_t to) {
    const std::int64_t column = unit / parts * in.width;
    for (std::int64_t s = from; s < to; ++s) {
      loops_.add[0][storage(dk)](held + s * width, at(dk, s, column), in.width);
      loops_.add[0][storage(dv)](held + sums + s * width, at(dv, s, column), in.width);
    }
  };
  team_.each(of.units, [&](std::int64_t unit, int thread) {
    float* const held = partial + 2 * sums * (parts == 1 ? thread : unit);
    std::fill_n(held, 2 * sums, 0.0F);
    const std::int64_t heads = in.group / parts;
    loops_.attention_backward(call, unit * heads, (unit + 1) * heads, held, held + sums, workspace + thread * room);
    if (parts == 1) deliver(held, unit, 0, in.keys);
  });
  if (parts == 1) return;
  constexpr std::int64_t strip = 64;
  const std::int64_t strips_of_keys = ceil_divide(in.keys, strip);
  team_.each(key_heads * strips_of_keys, [&](std::int64_t piece, int) {
    const std::int64_t from = piece % strips_of_keys * strip;
    const std::int64_t to = std::min(from + strip, in.keys);
    const std::int64_t unit = piece / strips_of_keys * parts;
    float* const held = partial + 2 * sums * unit;
    for (std::int64_t part = 1; part < parts; ++part) {
      const float* other = held + 2 * sums * part;
      loops_.add[0][0](other + from * width, held + from * width, (to - from) * width);
      loops_.add[0][0](other + sums + from * width, held + sums + from * width, (to - from) * width);
    }
    deliver(held, unit, from, to);
  });
}

}  // namespace hearth::cpu
