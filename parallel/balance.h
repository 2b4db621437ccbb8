// Blocks in a row, cut into stages of a pipeline that take about equally long.
#pragma once

#include <span>
#include <vector>

namespace hearth {

/// The begins of `parts` contiguous parts of `costs`, and the end: parts + 1 places; part i is [result[i], result[i +
/// 1]). Of all ways to cut, one with the smallest largest sum (exactly: by dynamic programming), no part empty as long
/// as there is an element for each. Among equals, the one whose begins are smallest, the first begin first: early
/// stages of a pipeline hold the most microbatches, so they get the fewest blocks. With fewer elements than parts each
/// of the first parts has one, and the rest are empty.
/// Sums are formed in order from a part's begin, so the result depends on the costs alone.
/// REQUIRES: parts > 0; costs are finite and not negative.
std::vector<int> balanced(std::span<const double> costs, int parts);

}  // namespace hearth
