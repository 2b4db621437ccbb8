#include <cmath>

#include "kernels/check.h"
#include "kernels/cpu/cpu_ops.h"

namespace hearth::cpu {

namespace {

// Sums of squares of `count` whole chunks, each in order of index, side by side because one sum's additions wait for
// each other.
template <int count>
void squares_of_chunks(const float* x, double* sums) {
  double total[count] = {};
  for (std::int64_t i = 0; i < norm_chunk; ++i) {
    for (int j = 0; j < count; ++j) {
      const double value = x[j * norm_chunk + i];
      total[j] += value * value;
    }
  }
  for (int j = 0; j < count; ++j) sums[j] = total[j];
}

}  // namespace

void CpuOps::squared_norm(In x, Out sums) {
  check::squared_norm(x, sums);
  constexpr std::int64_t side_by_side = 8;
  constexpr std::int64_t chunks_of_piece = 64;
  const float* values = x.typed<float>();
  double* const to = sums.typed<double>();
  const std::int64_t whole = x.elements() / norm_chunk;
  team_.each(ceil_divide(whole, chunks_of_piece), [&](std::int64_t piece, int) {
    std::int64_t chunk = piece * chunks_of_piece;
    const std::int64_t end = std::min(chunk + chunks_of_piece, whole);
    for (; chunk + side_by_side <= end; chunk += side_by_side) {
      squares_of_chunks<side_by_side>(values + chunk * norm_chunk, to + chunk);
    }
    for (; chunk < end; ++chunk) squares_of_chunks<1>(values + chunk * norm_chunk, to + chunk);
  });
  if (whole * norm_chunk == x.elements()) return;
  double last = 0;
  for (std::int64_t i = whole * norm_chunk; i < x.elements(); ++i) {
    last += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  to[whole] = last;
}

void CpuOps::adamw(In gradient, In control, const AdamW& update, Out weight, Out first_moment, Out second_moment) {
  check::adamw(gradient, control, weight, first_moment, second_moment);
  const float* steering = control.typed<float>();
  if (steering[1] == 0) return;
  const double correction1 = 1 - std::pow(update.beta1, static_cast<double>(update.step));
  const double correction2 = 1 - std::pow(update.beta2, static_cast<double>(update.step));
  const AdamWFactors factors{.gradient = steering[0],
                             .decay = static_cast<float>(update.rate * update.decay),
                             .beta1 = static_cast<float>(update.beta1),
                             .rest1 = static_cast<float>(1 - update.beta1),
                             .beta2 = static_cast<float>(update.beta2),
                             .rest2 = static_cast<float>(1 - update.beta2),
                             .inverse_root = static_cast<float>(1 / std::sqrt(correction2)),
                             .epsilon = static_cast<float>(update.epsilon),
                             .step = static_cast<float>(update.rate / correction1)};
  const float* gradients = gradient.typed<float>();
  float* const weights = weight.typed<float>();
  float* const firsts = first_moment.typed<float>();
  float* const seconds = second_moment.typed<float>();
  strips(weight, false, [&](std::int64_t, std::int64_t from, std::int64_t count) {
    loops_.adamw(factors, gradients + from, weights + from, firsts + from, seconds + from, count);
  });
}

}  // namespace hearth::cpu
