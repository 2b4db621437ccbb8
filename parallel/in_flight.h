// How many microbatches a stage of a pipeline holds at once: what activations cost in memory, before there are any.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "parallel/schedule.h"

namespace hearth {

/// A microbatch is in flight in a chunk from its forward to its backward, both included, and put off from there to its
/// contraction, included (in lists without contractions, never).
struct InFlight {
  int most = 0;               // in flight in all chunks of the stage at once
  int most_held = 0;          // in flight or put off, at once
  std::vector<int> by_chunk;  // in flight in each chunk; these need not be at one time
};
InFlight in_flight(std::span<const Action> actions, int chunks);

/// Bytes of one microbatch in one chunk.
struct ChunkBytes {
  std::size_t kept = 0;     // while it is in flight
  std::size_t put_off = 0;  // after that, until its contraction
};
/// The most bytes at once; by chunk.    REQUIRES: every action's chunk is one of `chunks`.
std::size_t most_bytes(std::span<const Action> actions, std::span<const ChunkBytes> chunks);

}  // namespace hearth
