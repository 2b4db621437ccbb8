#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/check.h"
#include "kernels/cpu/cpu_ops.h"

namespace hearth::cpu {

namespace {

constexpr std::size_t column(HeadStatistic statistic) {
  return static_cast<std::size_t>(statistic);
}

float logit(In logits, std::int64_t row, std::int64_t at_column) {
  return logits.dtype == Dtype::f32 ? logits.row<float>(row)[at_column]
                                    : static_cast<float>(logits.row<Bf16>(row)[at_column]);
}

// The column of a row's target, or -1 where it has none here.
std::int64_t target_column(std::int32_t target, std::int64_t first, std::int64_t columns) {
  const std::int64_t at_column = target - first;
  return target >= 0 && at_column >= 0 && at_column < columns ? at_column : -1;
}

}  // namespace

void CpuOps::head_statistics(In logits, In targets, std::int64_t first, Out statistics) {
  check::head_statistics(logits, targets, statistics);
  const std::int32_t* wanted = targets.typed<std::int32_t>();
  rows(logits, [&](std::int64_t t) {
    float found[3];  // largest, exponentials, total
    loops_.head_statistics[storage(logits)](at(logits, t, 0), logits.row_elements(), found);
    const std::int64_t target = target_column(wanted[t], first, logits.row_elements());
    float* row = statistics.row<float>(t);
    row[column(HeadStatistic::largest)] = found[0];
    row[column(HeadStatistic::exponentials)] = found[1];
    row[column(HeadStatistic::target)] = target < 0 ? 0.0F : logit(logits, t, target);
    row[column(HeadStatistic::total)] = found[2];
  });
}

void CpuOps::head_fold(In pieces, Out statistics) {
  check::head_fold(pieces, statistics);
  rows(statistics, [&](std::int64_t t) {
    float largest = -std::numeric_limits<float>::infinity();
    for (std::int64_t row = t; row < pieces.rows(); row += statistics.rows()) {
      largest = std::max(largest, pieces.row<float>(row)[column(HeadStatistic::largest)]);
    }
    double exponentials = 0, target = 0, total = 0;
    for (std::int64_t row = t; row < pieces.rows(); row += statistics.rows()) {
      const float* piece = pieces.row<float>(row);
      const double factor = std::exp(static_cast<double>(piece[column(HeadStatistic::largest)]) - largest);
      exponentials += static_cast<double>(piece[column(HeadStatistic::exponentials)]) * factor;
      target += static_cast<double>(piece[column(HeadStatistic::target)]);
      total += static_cast<double>(piece[column(HeadStatistic::total)]);
    }
    float* row = statistics.row<float>(t);
    row[column(HeadStatistic::largest)] = largest;
    row[column(HeadStatistic::exponentials)] = static_cast<float>(exponentials);
    row[column(HeadStatistic::target)] = static_cast<float>(target);
    row[column(HeadStatistic::total)] = static_cast<float>(total);
  });
}

void CpuOps::head_losses(In statistics, In targets, double smoothing, std::int64_t vocabulary, Out losses) {
  check::head_losses(statistics, targets, losses);
  const std::int32_t* wanted = targets.typed<std::int32_t>();
  float* const result = losses.typed<float>();
  for (std::int64_t t = 0; t < statistics.rows(); ++t) {
    const float* row = statistics.row<float>(t);
    const double log_sum = static_cast<double>(row[column(HeadStatistic::largest)]) +
                           std::log(static_cast<double>(row[column(HeadStatistic::exponentials)]));
    const double of_target = log_sum - static_cast<double>(row[column(HeadStatistic::target)]);
    const double of_all =
        log_sum - static_cast<double>(row[column(HeadStatistic::total)]) / static_cast<double>(vocabulary);
    result[t] = wanted[t] < 0 ? 0.0F : static_cast<float>((1 - smoothing) * of_target + smoothing * of_all);
  }
}

void CpuOps::head_backward(In logits, In statistics, In targets, In weights, std::int64_t first, double smoothing,
                           std::int64_t vocabulary, Out dlogits) {
  check::head_backward(logits, statistics, targets, weights, dlogits);
  const std::int32_t* wanted = targets.typed<std::int32_t>();
  const float* factors = weights.typed<float>();
  const auto rest = static_cast<float>(smoothing / static_cast<double>(vocabulary));
  const auto hit = static_cast<float>(1 - smoothing);
  const std::int64_t columns = logits.row_elements();
  rows(logits, [&](std::int64_t t) {
    if (wanted[t] < 0) {
      std::memset(at(dlogits, t, 0), 0, static_cast<std::size_t>(columns) * size_of(dlogits.dtype));
      return;
    }
    const float* row = statistics.row<float>(t);
    const float largest = row[column(HeadStatistic::largest)];
    const float exponentials = row[column(HeadStatistic::exponentials)];
    const std::int64_t target = target_column(wanted[t], first, columns);
    const float score = target < 0 ? 0.0F : logit(logits, t, target);  // before dlogits, which may lie over it
    loops_.head_backward[storage(logits)][storage(dlogits)](at(logits, t, 0), largest, exponentials, factors[t], rest,
                                                            at(dlogits, t, 0), columns);
    if (target < 0) return;
    const float value = factors[t] * (std::exp(score - largest) / exponentials - rest - hit);
    if (dlogits.dtype == Dtype::f32) {
      dlogits.row<float>(t)[target] = value;
    } else {
      dlogits.row<Bf16>(t)[target] = Bf16(value);
    }
  });
}

}  // namespace hearth::cpu
