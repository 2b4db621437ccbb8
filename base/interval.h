// Stretches of something that is counted from zero.
#pragma once

#include <cstdint>

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

}  // namespace hearth
