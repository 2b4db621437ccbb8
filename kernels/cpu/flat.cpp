#include <cmath>

#include "kernels/check.h"
#include "kernels/cpu/cpu_ops.h"

namespace hearth::cpu {

void CpuOps::squared_norm(In x, Out sums) {
  check::squared_norm(x, sums);
  constexpr std::int64_t grain = 64 * norm_chunk;
  const float* values = x.typed<float>();
  double* const to = sums.typed<double>();
  team_.each(ceil_divide(x.elements(), grain), [&](std::int64_t piece, int) {
    const std::int64_t from = piece * grain;
    loops_.squares(values + from, to + from / norm_chunk, std::min(grain, x.elements() - from));
  });
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
