#include "trainer/recipe_nearest.h"

#include <algorithm>
#include <cstdlib>

namespace hearth {

int edit_distance(std::string_view left, std::string_view right, int limit) {
  const int rows = static_cast<int>(left.size());
  const int columns = static_cast<int>(right.size());
  if (std::abs(rows - columns) > limit) return limit + 1;
  std::vector<std::vector<int>> cost(static_cast<std::size_t>(rows) + 1,
                                     std::vector<int>(static_cast<std::size_t>(columns) + 1));
  const auto at = [&](int row, int column) -> int& {
    return cost[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
  };
  const auto same = [&](int row, int column) {
    return left[static_cast<std::size_t>(row) - 1] == right[static_cast<std::size_t>(column) - 1];
  };
  for (int row = 0; row <= rows; ++row) at(row, 0) = row;
  for (int column = 0; column <= columns; ++column) at(0, column) = column;
  for (int row = 1; row <= rows; ++row) {
    for (int column = 1; column <= columns; ++column) {
      int best = std::min(at(row - 1, column) + 1, at(row, column - 1) + 1);
      best = std::min(best, at(row - 1, column - 1) + (same(row, column) ? 0 : 1));
      const bool swapped = row > 1 && column > 1 &&
                           left[static_cast<std::size_t>(row) - 1] == right[static_cast<std::size_t>(column) - 2] &&
                           left[static_cast<std::size_t>(row) - 2] == right[static_cast<std::size_t>(column) - 1];
      at(row, column) = swapped ? std::min(best, at(row - 2, column - 2) + 1) : best;
    }
  }
  return std::min(at(rows, columns), limit + 1);
}

std::vector<std::string> nearest_words(std::string_view word, const std::vector<std::string>& accepted) {
  int best = std::min(2, static_cast<int>(word.size()) - 1);
  std::vector<std::string> nearest;
  for (const std::string& candidate : accepted) {
    const int distance = edit_distance(word, candidate, best);
    if (distance > best) continue;
    if (distance < best) nearest.clear();
    best = distance;
    nearest.push_back(candidate);
  }
  return nearest;
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace hearth
