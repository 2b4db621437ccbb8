// How data knows of other ranks: as parts of one job that can add numbers up.
#pragma once

#include <cstdint>
#include <functional>

#include "base/file.h"

namespace hearth {

/// Part `part` of `parts`. `sum` is a collective: every part calls it the same number of times, and each call returns,
/// on every part, the sum of what the parts gave; so it is a barrier too. The sums stay below 2^53 in size.
struct Together {
  int part = 0;
  int parts = 1;
  std::function<std::int64_t(std::int64_t)> sum = [](std::int64_t mine) { return mine; };

  /// The value that part 0 gave.
  std::int64_t from_first(std::int64_t mine) const { return sum(part == 0 ? mine : 0); }
};

/// Runs `work` on every part. If it throws anywhere, every part throws: the error of the first part that could leave
/// word in `folder` (empty: there is no such folder), else its own, else one that says that another part failed. A
/// collective.
void all_or_none(const Together& together, const Path& folder, const std::function<void()>& work);

}  // namespace hearth
