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

// A unit is some queries with all the heads that share one key head. Rows of the result are independent of each other,
// so the cut changes speed only.
void CpuOps::attention(In q, In k, In v, In first, In last, AttentionShape shape, Out y, Out log_sum) {
  check::attention(q, k, v, first, last, y, log_sum);
  if (q.rows() == 0) return;
  const AttentionForward call{
      layout(q, k, v, first, last, shape), y.data, y.pitch, storage(y), log_sum.typed<float>(), log_sum.pitch};
  const std::int64_t queries = std::max<std::int64_t>(1, loops_.attention_rows() / call.in.group);
  const std::int64_t room = whole_lines(loops_.attention_floats(call.in));
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
  constexpr std::int64_t enough_key_heads = 8;
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
  const std::int64_t parts = key_heads >= enough_key_heads ? 1 : in.group;  // of one key head
  const std::int64_t units = key_heads * parts;
  const std::int64_t width = loops_.attention_width(in.width);
  const std::int64_t sums = whole_lines((in.keys + loops_.attention_keys()) * width);  // of dk, and again of dv
  const std::int64_t room = whole_lines(loops_.attention_backward_floats(in));
  const std::int64_t holders = parts == 1 ? std::min<std::int64_t>(units, team_.threads()) : units;
  float* const workspace = workspace_.floats(room * team_.threads() + 2 * sums * holders);
  float* const partial = workspace + room * team_.threads();
  // Rows [from, to) of what `unit` holds onto the gradients of its key head.
  const auto deliver = [&](const float* held, std::int64_t unit, std::int64_t from, std::int64_t to) {
    const std::int64_t column = unit / parts * in.width;
    for (std::int64_t s = from; s < to; ++s) {
      loops_.add[0][storage(dk)](held + s * width, at(dk, s, column), in.width);
      loops_.add[0][storage(dv)](held + sums + s * width, at(dv, s, column), in.width);
    }
  };
  team_.each(units, [&](std::int64_t unit, int thread) {
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
