#include "trainer/rows.h"

#include <algorithm>

namespace hearth {

std::int64_t ListedRows::trained(std::int64_t row) const {
  const auto& targets = at(row).targets;
  return std::count_if(targets.begin(), targets.end(), [](std::int32_t target) { return target >= 0; });
}

std::int64_t targets_of(const Rows& rows) {
  std::int64_t targets = 0;
  for (std::int64_t row = 0; row < rows.count(); ++row) targets += rows.trained(row);
  return targets;
}

Row labelled_row(std::vector<std::int32_t> tokens, const std::vector<std::int32_t>& labels,
                 std::vector<std::int32_t> starts) {
  Row row;
  row.tokens = std::move(tokens);
  row.document_starts = starts.empty() ? std::vector<std::int32_t>{0} : std::move(starts);
  const auto size = static_cast<std::int32_t>(row.tokens.size());
  if (row.document_starts.back() != size) row.document_starts.push_back(size);
  row.targets.assign(row.tokens.size(), -1);
  for (std::size_t d = 0; d + 1 < row.document_starts.size(); ++d) {
    for (std::int32_t t = row.document_starts[d]; t + 1 < row.document_starts[d + 1]; ++t) {
      const auto next = static_cast<std::size_t>(t) + 1;
      row.targets[next - 1] = labels.empty() ? row.tokens[next] : std::max(labels[next], -1);  // -100 becomes -1
    }
  }
  return row;
}

}  // namespace hearth
