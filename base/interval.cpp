#include "base/interval.h"

#include <algorithm>

namespace hearth {

Interval even_interval(std::int64_t count, int part, int parts) {
  const std::int64_t whole = count / parts;
  const std::int64_t rest = count % parts;
  const auto begin = [&](std::int64_t index) { return index * whole + std::min(index, rest); };
  return {begin(part), begin(part + 1)};
}

Interval intersect(Interval a, Interval b) {
  const std::int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

}  // namespace hearth
