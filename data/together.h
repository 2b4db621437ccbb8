// How data knows of other ranks: as parts of one job that can tell each other numbers and texts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// Part `part` of `parts`. Some of them may see the very same files, byte for byte (one kernel, one view of its file
/// systems): these share the work of reading and verifying what all of them use. `sum` and `gather` are collectives: every part calls the same ones in the same order, so each
/// is a barrier too.
struct Together {
  int part = 0;
  int parts = 1;
  std::vector<int> same_files = {0};  // the parts that see the same files as this one, itself among them, ascending
  /// The sum of what the parts gave, on every part. Sums stay below 2^53 in size.
  std::function<std::int64_t(std::int64_t)> sum = [](std::int64_t mine) { return mine; };
  /// What the parts gave, in their order, on every part. Texts may be empty and of different lengths.
  std::function<std::vector<std::string>(std::string_view)> gather = [](std::string_view mine) {
    return std::vector<std::string>{std::string(mine)};
  };

  /// Called now and then by what takes long, by each part for itself and from any of its threads: an Error that it throws
  /// ends the work there, and by all_or_none on every part.
  std::function<void()> check = [] {};

  /// The value that part 0 gave.
  std::int64_t from_first(std::int64_t mine) const { return sum(part == 0 ? mine : 0); }
};

/// Runs `work` on every part. If it throws anywhere, every part throws the same error at once: that of the first part that
/// failed, which is also its speaker (see Error). A collective; within `work` the parts
/// do not speak to each other.
void all_or_none(const Together& together, const std::function<void()>& work);

}  // namespace hearth
