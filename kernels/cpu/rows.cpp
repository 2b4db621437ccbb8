#include <cmath>
#include <cstring>

#include "kernels/check.h"
#include "kernels/cpu/cpu_ops.h"

namespace hearth::cpu {

void CpuOps::embedding(In tokens, In table, std::int64_t first, Out y) {
  check::embedding(tokens, table, y);
  const std::int32_t* ids = tokens.typed<std::int32_t>();
  const std::size_t bytes = static_cast<std::size_t>(y.row_elements()) * size_of(y.dtype);
  rows(y, [&](std::int64_t t) {
    const std::int64_t row = ids[t] - first;
    if (row < 0 || row >= table.rows()) {
      std::memset(at(y, t, 0), 0, bytes);
    } else {
      std::memcpy(at(y, t, 0), at(table, row, 0), bytes);
    }
  });
}

// Strips of columns, each by one thread over all tokens, so that a row's sum is in order of t.
void CpuOps::embedding_backward(In tokens, In dy, std::int64_t first, Out dtable) {
  check::embedding_backward(tokens, dy, dtable);
  constexpr std::int64_t strip = 128;
  const std::int32_t* ids = tokens.typed<std::int32_t>();
  const std::int64_t width = dy.row_elements();
  const auto loop = loops_.add[storage(dy)][storage(dtable)];
  team_.each(ceil_divide(width, strip), [&](std::int64_t piece, int) {
    const std::int64_t from = piece * strip;
    for (std::int64_t t = 0; t < dy.rows(); ++t) {
      const std::int64_t row = ids[t] - first;
      if (row < 0 || row >= dtable.rows()) continue;
      loop(at(dy, t, from), at(dtable, row, from), std::min(strip, width - from));
    }
  });
}

void CpuOps::rms_norm(In x, In gain, double epsilon, Out y, Out inverse_rms) {
  check::rms_norm(x, gain, y, inverse_rms);
  float* const inverses = inverse_rms.typed<float>();
  rows(x, [&](std::int64_t t) {
    inverses[t] =
        loops_.rms_norm[storage(x)](at(x, t, 0), gain.data, static_cast<float>(epsilon), at(y, t, 0), x.row_elements());
  });
}

void CpuOps::rms_norm_backward(In x, In gain, In inverse_rms, In dy, Out dx) {
  check::rms_norm_backward(x, gain, inverse_rms, dy, dx);
  const float* const inverses = inverse_rms.typed<float>();
  rows(x, [&](std::int64_t t) {
    loops_.rms_norm_backward[storage(x)](at(x, t, 0), gain.data, inverses[t], at(dy, t, 0), at(dx, t, 0),
                                         x.row_elements());
  });
}

void CpuOps::rms_normalize(In x, In inverse_rms, Out x_hat) {
  check::rms_normalize(x, inverse_rms, x_hat);
  const float* const inverses = inverse_rms.typed<float>();
  rows(x, [&](std::int64_t t) {
    if (x.data != x_hat.data)
      std::memcpy(at(x_hat, t, 0), at(x, t, 0), static_cast<std::size_t>(x.row_elements()) * size_of(x.dtype));
    loops_.scale[storage(x)](inverses[t], at(x_hat, t, 0), x.row_elements());
  });
}

void CpuOps::gain_backward(In x_hat, In dy, Out dgain) {
  check::gain_backward(x_hat, dy, dgain);
  column_sums(x_hat, &dy, 1.0F, dgain);
}

void CpuOps::rotary_table(In positions, In frequencies, double factor, Out cosine, Out sine) {
  check::rotary_table(positions, frequencies, cosine, sine);
  const std::int32_t* places = positions.typed<std::int32_t>();
  const float* rates = frequencies.typed<float>();
  rows(cosine, [&](std::int64_t t) {
    float* cosines = cosine.row<float>(t);
    float* sines = sine.row<float>(t);
    for (std::int64_t h = 0; h < cosine.row_elements(); ++h) {
      const double angle = static_cast<double>(places[t]) * static_cast<double>(rates[h]);
      cosines[h] = static_cast<float>(std::cos(angle) * factor);
      sines[h] = static_cast<float>(std::sin(angle) * factor);
    }
  });
}

void CpuOps::rotate(In x, In cosine, In sine, Turn back, Out y) {
  check::rotate(x, cosine, sine, y);
  const std::int64_t width = x.dims[2];
  const float sign = back == Turn::yes ? -1.0F : 1.0F;
  rows(x, [&](std::int64_t t) {
    for (std::int64_t head = 0; head < x.dims[1]; ++head) {
      loops_.rotate[storage(x)](at(x, t, head * width), cosine.row<float>(t), sine.row<float>(t), sign,
                                at(y, t, head * width), width / 2);
    }
  });
}

}  // namespace hearth::cpu
