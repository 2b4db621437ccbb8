#include <cmath>

#include "kernels/check.h"
#include "kernels/plain/plain_ops.h"
#include "kernels/plain/values.h"

namespace hearth::plain {

void PlainOps::rms_norm(In x, In gain, double epsilon, Out y, Out inverse_rms) {
  check::rms_norm(x, gain, y, inverse_rms);
  Values values = read(x);
  const Values gains = read(gain);
  Values inverses(inverse_rms.rows(), inverse_rms.row_elements());
  for (std::int64_t t = 0; t < values.rows; ++t) {
    double squares = 0;
    for (std::int64_t d = 0; d < values.columns; ++d) squares += values(t, d) * values(t, d);
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(values.columns) + epsilon);
    for (std::int64_t d = 0; d < values.columns; ++d)
      values(t, d) *= inverse * gains.elements[static_cast<std::size_t>(d)];
    inverses.elements[static_cast<std::size_t>(t)] = inverse;
  }
  plain::write(values, y);
  plain::write(inverses, inverse_rms);
}

// With x_hat = x r and z = dy * gain:  dx = r (z - x_hat mean(z x_hat)).
void PlainOps::rms_norm_backward(In x, In gain, In inverse_rms, In dy, Out dx) {
  check::rms_norm_backward(x, gain, inverse_rms, dy, dx);
  const Values values = read(x);
  const Values gains = read(gain);
  const Values inverses = read(inverse_rms);
  const Values gradient = read(dy);
  Values result = read(dx);
  for (std::int64_t t = 0; t < values.rows; ++t) {
    const double inverse = inverses.elements[static_cast<std::size_t>(t)];
    double product = 0;
    for (std::int64_t d = 0; d < values.columns; ++d) {
      product += gradient(t, d) * gains.elements[static_cast<std::size_t>(d)] * values(t, d) * inverse;
    }
    const double mean = product / static_cast<double>(values.columns);
    for (std::int64_t d = 0; d < values.columns; ++d) {
      const double z = gradient(t, d) * gains.elements[static_cast<std::size_t>(d)];
      result(t, d) += inverse * (z - values(t, d) * inverse * mean);
    }
  }
  plain::write(result, dx);
}

void PlainOps::rms_normalize(In x, In inverse_rms, Out x_hat) {
  check::rms_normalize(x, inverse_rms, x_hat);
  Values values = read(x);
  const Values inverses = read(inverse_rms);
  for (std::int64_t t = 0; t < values.rows; ++t) {
    for (std::int64_t d = 0; d < values.columns; ++d) values(t, d) *= inverses.elements[static_cast<std::size_t>(t)];
  }
  plain::write(values, x_hat);
}

void PlainOps::gain_backward(In x_hat, In dy, Out dgain) {
  check::gain_backward(x_hat, dy, dgain);
  const Values values = read(x_hat);
  const Values gradient = read(dy);
  Values result = read(dgain);
  for (std::int64_t d = 0; d < values.columns; ++d) {
    double total = 0;
    for (std::int64_t t = 0; t < values.rows; ++t) total += values(t, d) * gradient(t, d);
    result.elements[static_cast<std::size_t>(d)] += total;
  }
  plain::write(result, dgain);
}

}  // namespace hearth::plain
