#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/check.h"
#include "kernels/plain/plain_ops.h"
#include "kernels/plain/values.h"

namespace hearth::plain {

namespace {
constexpr std::int64_t largest_column = static_cast<std::int64_t>(HeadStatistic::largest);
constexpr std::int64_t exponentials_column = static_cast<std::int64_t>(HeadStatistic::exponentials);
constexpr std::int64_t target_column = static_cast<std::int64_t>(HeadStatistic::target);
constexpr std::int64_t total_column = static_cast<std::int64_t>(HeadStatistic::total);
}  // namespace

void PlainOps::head_statistics(In logits, In targets, std::int64_t first, Out statistics) {
  check::head_statistics(logits, targets, statistics);
  const Values scores = read(logits);
  const std::vector<std::int64_t> wanted = read_integers(targets);
  Values result(scores.rows, head_statistics_columns);
  for (std::int64_t t = 0; t < scores.rows; ++t) {
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t c = 0; c < scores.columns; ++c) largest = std::max(largest, scores(t, c));
    for (std::int64_t c = 0; c < scores.columns; ++c) {
      result(t, exponentials_column) += std::exp(scores(t, c) - largest);
      result(t, total_column) += scores(t, c);
    }
    const std::int64_t target = wanted[static_cast<std::size_t>(t)] - first;
    const bool here = wanted[static_cast<std::size_t>(t)] >= 0 && target >= 0 && target < scores.columns;
    result(t, largest_column) = largest;
    result(t, target_column) = here ? scores(t, target) : 0;
  }
  plain::write(result, statistics);
}

void PlainOps::head_fold(In pieces, Out statistics) {
  check::head_fold(pieces, statistics);
  const Values of_pieces = read(pieces);
  Values result(statistics.rows(), head_statistics_columns);
  for (std::int64_t t = 0; t < result.rows; ++t) {
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t row = t; row < of_pieces.rows; row += result.rows) {
      largest = std::max(largest, of_pieces(row, largest_column));
    }
    for (std::int64_t row = t; row < of_pieces.rows; row += result.rows) {
      const double factor = std::exp(of_pieces(row, largest_column) - largest);
      result(t, exponentials_column) += of_pieces(row, exponentials_column) * factor;
      result(t, target_column) += of_pieces(row, target_column);
      result(t, total_column) += of_pieces(row, total_column);
    }
    result(t, largest_column) = largest;
  }
  plain::write(result, statistics);
}

void PlainOps::head_losses(In statistics, In targets, double smoothing, std::int64_t vocabulary, Out losses) {
  check::head_losses(statistics, targets, losses);
  const Values rows = read(statistics);
  const std::vector<std::int64_t> wanted = read_integers(targets);
  Values result(losses.rows(), losses.row_elements());
  for (std::int64_t t = 0; t < rows.rows; ++t) {
    if (wanted[static_cast<std::size_t>(t)] < 0) continue;
    const double log_sum = rows(t, largest_column) + std::log(rows(t, exponentials_column));
    const double of_target = log_sum - rows(t, target_column);
    const double of_all = log_sum - rows(t, total_column) / static_cast<double>(vocabulary);
    result.elements[static_cast<std::size_t>(t)] = (1 - smoothing) * of_target + smoothing * of_all;
  }
  plain::write(result, losses);
}

void PlainOps::head_backward(In logits, In statistics, In targets, In weights, std::int64_t first, double smoothing,
                             std::int64_t vocabulary, Out dlogits) {
  check::head_backward(logits, statistics, targets, weights, dlogits);
  const Values scores = read(logits);
  const Values rows = read(statistics);
  const Values factors = read(weights);
  const std::vector<std::int64_t> wanted = read_integers(targets);
  Values result(scores.rows, scores.columns);
  for (std::int64_t t = 0; t < scores.rows; ++t) {
    const std::int64_t target = wanted[static_cast<std::size_t>(t)];
    if (target < 0) continue;
    for (std::int64_t c = 0; c < scores.columns; ++c) {
      const double p = std::exp(scores(t, c) - rows(t, largest_column)) / rows(t, exponentials_column);
      const double hit = c == target - first ? 1 - smoothing : 0;
      result(t, c) =
          factors.elements[static_cast<std::size_t>(t)] * (p - hit - smoothing / static_cast<double>(vocabulary));
    }
  }
  plain::write(result, dlogits);
}

}  // namespace hearth::plain
