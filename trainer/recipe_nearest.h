// Which accepted word somebody meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// Letters to insert, remove, replace or swap with their neighbour to turn one word into the other (optimal string
/// alignment), or `limit` + 1 when more than `limit`.
int edit_distance(std::string_view left, std::string_view right, int limit);

/// The accepted words nearest to `word`, all at the same distance: at most 2, and less than the word is long; empty
/// when none is that near.
std::vector<std::string> nearest_words(std::string_view word, const std::vector<std::string>& accepted);

/// "a", "a or b", "a, b or c".
std::string listed(const std::vector<std::string>& words);

}  // namespace hearth
