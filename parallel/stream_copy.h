// Copies that leave the cache alone.
#pragma once

#include <cstddef>

namespace hearth {

/// About what a core's own cache and its share of the common one hold. An operation that writes more stores straight to
/// memory, so that it pushes nothing else out, and what is overwritten is not fetched before.
constexpr std::size_t stream_bytes = std::size_t{4} << 20;

/// Copies a part of an operation that writes `whole` bytes in all; nothing when both are one place.
void copy_part(std::size_t whole, const void* from, void* to, std::size_t bytes);

/// memcpy whose stores go straight to memory; they are ordered before everything that this thread stores afterwards.
/// The two stretches do not overlap.
void stream_copy(const void* from, void* to, std::size_t bytes);

}  // namespace hearth
