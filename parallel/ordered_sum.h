// The order of every sum over ranks, in one place.
#pragma once

#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "base/interval.h"
#include "parallel/communicator.h"

namespace hearth {

/// Whether sum_in_rank_order knows the dtype: f32, f64, i64, bf16.
bool is_summable(Dtype dtype);

/// Where sums are stored: in the caches, or straight to memory, which is quicker where the caches would not hold them
/// (and done only for up to 8 addends). In either way they are there for what this thread does afterwards.
enum class Stores { cached, streamed };

/// out[i] = ((addends[0][i] + addends[1][i]) + addends[2][i]) + ...; with Onto::held the sum begins with out[i].
///   addends: pointers to `count` elements each, rank by rank   out: count elements; may be one of the addends.
/// bf16 is summed in f32 and rounded once.
void sum_in_rank_order(Dtype dtype, std::span<const void* const> addends, Onto onto, std::int64_t count, void* out,
                       Stores stores = Stores::cached);

}  // namespace hearth
