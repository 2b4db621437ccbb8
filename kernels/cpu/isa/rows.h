// Loops over one row, and sums over columns, see loops.h.
#pragma once

#include "kernels/cpu/isa/vector.h"
#include "kernels/cpu/loops.h"

namespace {

// Sums of f(i, count) over the vectors of [0, n) in four accumulators, so that the order depends on n alone.
template <class Term>
HEARTH_INLINE float row_sum(std::int64_t n, const Term& term) {
  F total[4] = {vzero(), vzero(), vzero(), vzero()};
  std::int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    for (int j = 0; j < 4; ++j) total[j] += term(i + j * lanes, std::int64_t{lanes});
  }
  for (; i + lanes <= n; i += lanes) total[0] += term(i, std::int64_t{lanes});
  if (i < n) total[1] += term(i, n - i);
  return fold_sum((total[0] + total[1]) + (total[2] + total[3]));
}

template <class S>
float rms_norm(const void* x, const void* gain, float epsilon, void* y, std::int64_t n) {
  const S* from = static_cast<const S*>(x);
  const S* gains = static_cast<const S*>(gain);
  S* to = static_cast<S*>(y);
  const float squares = row_sum(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    const F value = load(from + i, count);
    return value * value;
  });
  const float inverse = 1.0F / __builtin_sqrtf(squares / static_cast<float>(n) + epsilon);
  vectors(n, [&](std::int64_t i, std::int64_t count)
                 HEARTH_LAMBDA { store(to + i, load(from + i, count) * inverse * load(gains + i, count), count); });
  return inverse;
}

template <class S>
void rms_norm_backward(const void* x, const void* gain, float inverse, const void* dy, void* dx, std::int64_t n) {
  const S* from = static_cast<const S*>(x);
  const S* gains = static_cast<const S*>(gain);
  const S* gradients = static_cast<const S*>(dy);
  S* to = static_cast<S*>(dx);
  const float product = row_sum(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    return load(gradients + i, count) * load(gains + i, count) * load(from + i, count);
  });
  const float along = product * inverse * inverse / static_cast<float>(n);
  vectors(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    const F z = load(gradients + i, count) * load(gains + i, count) - load(from + i, count) * along;
    store(to + i, load(to + i, count) + z * inverse, count);
  });
}

template <class S>
void head_statistics(const void* logits, std::int64_t n, float* statistics) {
  const S* scores = static_cast<const S*>(logits);
  F largest = vset(-__builtin_inff());
  vectors(n, [&](std::int64_t i, std::int64_t count)
                 HEARTH_LAMBDA { largest = vmax(largest, keep(load(scores + i, count), count, -__builtin_inff())); });
  const float top = fold_max(largest);
  statistics[0] = top;
  statistics[1] = row_sum(n, [&](std::int64_t i, std::int64_t count)
                                 HEARTH_LAMBDA { return keep(vexp(load(scores + i, count) - top), count, 0.0F); });
  statistics[2] = row_sum(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA { return load(scores + i, count); });
}

template <class S, class D>
void head_backward(const void* logits, float largest, float exponentials, float weight, float rest, void* dlogits,
                   std::int64_t n) {
  const S* scores = static_cast<const S*>(logits);
  D* to = static_cast<D*>(dlogits);
  const float inverse = 1.0F / exponentials;
  vectors(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    store(to + i, weight * (vexp(load(scores + i, count) - largest) * inverse - rest), count);
  });
}

// Rows are summed 32 at a time before they join the total: rounding grows with the square root of that, and the order
// depends on the number of rows alone.
template <class S>
void column_sums(const void* x, std::int64_t x_pitch, const void* y, std::int64_t y_pitch, std::int64_t rows,
                 std::int64_t n, float factor, float* sums) {
  constexpr std::int64_t block = 32;
  const S* left = static_cast<const S*>(x);
  const S* right = static_cast<const S*>(y);
  vectors(n, [&](std::int64_t i, std::int64_t count) HEARTH_LAMBDA {
    F total = vzero();
    for (std::int64_t row = 0; row < rows; row += block) {
      const std::int64_t end = row + block < rows ? row + block : rows;
      F part = vzero();
      for (std::int64_t r = row; r < end; ++r) {
        F value = load(left + r * x_pitch + i, count);
        if (right != nullptr) value = value * load(right + r * y_pitch + i, count);
        part += value;
      }
      total += part;
    }
    store(sums + i, load(sums + i, count) + total * factor, count);
  });
}

typedef double D __attribute__((vector_size(16 * sizeof(double))));
typedef float P __attribute__((vector_size(16 * sizeof(float))));

void squares(const float* x, double* sums, std::int64_t n) {
  constexpr std::int64_t chunk = 256;
  constexpr int wide = 16;
  for (std::int64_t from = 0; from < n; from += chunk) {
    const std::int64_t end = from + chunk < n ? from + chunk : n;
    D total = {};
    std::int64_t i = from;
    for (; i + wide <= end; i += wide) {
      P part;
      __builtin_memcpy(&part, x + i, sizeof part);
      const D value = __builtin_convertvector(part, D);
      total += value * value;
    }
    double lanes_of[wide];
    __builtin_memcpy(lanes_of, &total, sizeof total);
    for (int lane = 0; i < end; ++i, ++lane) lanes_of[lane] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    for (int half = wide / 2; half > 0; half /= 2) {
      for (int lane = 0; lane < half; ++lane) lanes_of[lane] += lanes_of[lane + half];
    }
    *sums++ = lanes_of[0];
  }
}

template <class S>
void dots(const float* a, std::int64_t a_pitch, std::int64_t rows, const void* b, std::int64_t b_pitch,
          std::int64_t columns, std::int64_t length, float* y, std::int64_t y_pitch) {
  for (std::int64_t j = 0; j < columns; ++j) {
    const S* right = static_cast<const S*>(b) + j * b_pitch;
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* left = a + i * a_pitch;
      y[i * y_pitch + j] = row_sum(length, [&](std::int64_t l, std::int64_t count) HEARTH_LAMBDA {
        return load(left + l, count) * load(right + l, count);
      });
    }
  }
}

}  // namespace
