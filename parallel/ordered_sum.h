// The order of every sum over ranks, in one place.
#pragma once

#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "parallel/communicator.h"

namespace hearth {

/// Elements [begin, end).
struct Interval {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t count() const { return end - begin; }
  bool operator==(const Interval&) const = default;
};

/// The part-th of `parts` nearly equal intervals of [0, count).
Interval even_interval(std::int64_t count, int part, int parts);
/// The common part of two intervals; count() is 0 when there is none.
Interval intersect(Interval a, Interval b);

/// Whether sum_in_rank_order knows the dtype: f32, f64, i64, bf16.
bool is_summable(Dtype dtype);

/// out[i] = ((addends[0][i] + addends[1][i]) + addends[2][i]) + ...; with Onto::held the sum begins with out[i].
///   addends: pointers to `count` elements each, rank by rank   out: count elements; may be one of the addends.
/// bf16 is summed in f32 and rounded once.
void sum_in_rank_order(Dtype dtype, std::span<const void* const> addends, Onto onto, std::int64_t count, void* out);

}  // namespace hearth
