#include <cmath>

#include "kernels/check.h"
#include "kernels/plain/plain_ops.h"
#include "kernels/plain/values.h"

namespace hearth::plain {

namespace {
double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}
}  // namespace

void PlainOps::fill(double value, Out y) {
  Values values(y.rows(), y.row_elements());
  for (double& element : values.elements) element = value;
  plain::write(values, y);
}

void PlainOps::cast(In x, Out y) {
  check::cast(x, y);
  plain::write(read(x), y);
}

void PlainOps::add(In x, Out y) {
  check::add(x, y);
  const Values addend = read(x);
  Values values = read(y);
  for (std::size_t i = 0; i < values.elements.size(); ++i) values.elements[i] += addend.elements[i];
  plain::write(values, y);
}

void PlainOps::sum(In a, In b, Out y) {
  check::sum(a, b, y);
  const Values addend = read(b);
  Values values = read(a);
  for (std::size_t i = 0; i < values.elements.size(); ++i) values.elements[i] += addend.elements[i];
  plain::write(values, y);
}

void PlainOps::scale(double factor, Out y) {
  check::scale(y);
  Values values = read(y);
  for (double& element : values.elements) element *= factor;
  plain::write(values, y);
}

void PlainOps::add_bias(In bias, Out y) {
  check::add_bias(bias, y);
  const Values addend = read(bias);
  Values values = read(y);
  for (std::int64_t t = 0; t < values.rows; ++t) {
    for (std::int64_t o = 0; o < values.columns; ++o) values(t, o) += addend.elements[static_cast<std::size_t>(o)];
  }
  plain::write(values, y);
}

void PlainOps::bias_backward(In dy, double scale, Out db) {
  check::bias_backward(dy, db);
  const Values gradient = read(dy);
  Values result = read(db);
  for (std::int64_t o = 0; o < gradient.columns; ++o) {
    double total = 0;
    for (std::int64_t t = 0; t < gradient.rows; ++t) total += gradient(t, o);
    result.elements[static_cast<std::size_t>(o)] += scale * total;
  }
  plain::write(result, db);
}

void PlainOps::embedding(In tokens, In table, std::int64_t first, Out y) {
  check::embedding(tokens, table, y);
  const Values rows = read(table);
  const std::vector<std::int64_t> ids = read_integers(tokens);
  Values result(y.rows(), y.row_elements());
  for (std::int64_t t = 0; t < result.rows; ++t) {
    const std::int64_t row = ids[static_cast<std::size_t>(t)] - first;
    if (row < 0 || row >= rows.rows) continue;
    for (std::int64_t d = 0; d < result.columns; ++d) result(t, d) = rows(row, d);
  }
  plain::write(result, y);
}

void PlainOps::embedding_backward(In tokens, In dy, std::int64_t first, Out dtable) {
  check::embedding_backward(tokens, dy, dtable);
  const Values gradient = read(dy);
  const std::vector<std::int64_t> ids = read_integers(tokens);
  Values result = read(dtable);
  for (std::int64_t t = 0; t < gradient.rows; ++t) {
    const std::int64_t row = ids[static_cast<std::size_t>(t)] - first;
    if (row < 0 || row >= result.rows) continue;
    for (std::int64_t d = 0; d < gradient.columns; ++d) result(row, d) += gradient(t, d);
  }
  plain::write(result, dtable);
}

void PlainOps::rotary_table(In positions, In frequencies, double factor, Out cosine, Out sine) {
  check::rotary_table(positions, frequencies, cosine, sine);
  const Values places = read(positions);
  const Values rates = read(frequencies);
  Values cosines(cosine.rows(), cosine.row_elements());
  Values sines = cosines;
  for (std::int64_t t = 0; t < cosines.rows; ++t) {
    for (std::int64_t h = 0; h < cosines.columns; ++h) {
      const double angle = places.elements[static_cast<std::size_t>(t)] * rates.elements[static_cast<std::size_t>(h)];
      cosines(t, h) = factor * std::cos(angle);
      sines(t, h) = factor * std::sin(angle);
    }
  }
  plain::write(cosines, cosine);
  plain::write(sines, sine);
}

void PlainOps::rotate(In x, In cosine, In sine, Turn back, Out y) {
  check::rotate(x, cosine, sine, y);
  const Values from = read(x);  // (T, heads * H)
  const Values cosines = read(cosine);
  const Values sines = read(sine);
  const std::int64_t half = cosines.columns;
  const double sign = back == Turn::yes ? -1 : 1;
  Values to(from.rows, from.columns);
  for (std::int64_t t = 0; t < from.rows; ++t) {
    for (std::int64_t head = 0; head < x.dims[1]; ++head) {
      for (std::int64_t h = 0; h < half; ++h) {
        const std::int64_t low = head * 2 * half + h;
        const double s = sign * sines(t, h);
        to(t, low) = from(t, low) * cosines(t, h) - from(t, low + half) * s;
        to(t, low + half) = from(t, low + half) * cosines(t, h) + from(t, low) * s;
      }
    }
  }
  plain::write(to, y);
}

void PlainOps::swiglu(In gate, In up, Out y) {
  check::swiglu(gate, up, y);
  const Values gates = read(gate);
  Values result = read(up);
  for (std::size_t i = 0; i < result.elements.size(); ++i) {
    result.elements[i] *= gates.elements[i] * sigmoid(gates.elements[i]);
  }
  plain::write(result, y);
}

void PlainOps::swiglu_backward(In gate, In up, In dy, Out dgate, Out dup) {
  check::swiglu_backward(gate, up, dy, dgate, dup);
  const Values gates = read(gate);
  const Values ups = read(up);
  const Values gradient = read(dy);
  Values dgates = gates;
  Values dups = ups;
  for (std::size_t i = 0; i < gates.elements.size(); ++i) {
    const double s = sigmoid(gates.elements[i]);
    dgates.elements[i] = gradient.elements[i] * ups.elements[i] * s * (1 + gates.elements[i] * (1 - s));
    dups.elements[i] = gradient.elements[i] * gates.elements[i] * s;
  }
  plain::write(dgates, dgate);
  plain::write(dups, dup);
}

void PlainOps::squared_norm(In x, Out sums) {
  check::squared_norm(x, sums);
  const Values values = read(x);
  Values result(sums.rows(), sums.row_elements());
  for (std::size_t i = 0; i < values.elements.size(); ++i) {
    result.elements[i / norm_chunk] += values.elements[i] * values.elements[i];
  }
  plain::write(result, sums);
}

void PlainOps::adamw(In gradient, In control, const AdamW& update, Out weight, Out first_moment, Out second_moment) {
  check::adamw(gradient, control, weight, first_moment, second_moment);
  const Values steering = read(control);
  if (steering.elements[1] == 0) return;
  const Values gradients = read(gradient);
  Values weights = read(weight);
  Values firsts = read(first_moment);
  Values seconds = read(second_moment);
  const double correction1 = 1 - std::pow(update.beta1, static_cast<double>(update.step));
  const double correction2 = 1 - std::pow(update.beta2, static_cast<double>(update.step));
  for (std::size_t i = 0; i < weights.elements.size(); ++i) {
    const double g = steering.elements[0] * gradients.elements[i];
    double& m = firsts.elements[i];
    double& v = seconds.elements[i];
    double& w = weights.elements[i];
    w -= update.rate * update.decay * w;
    m = update.beta1 * m + (1 - update.beta1) * g;
    v = update.beta2 * v + (1 - update.beta2) * g * g;
    w -= update.rate / correction1 * m / (std::sqrt(v) / std::sqrt(correction2) + update.epsilon);
  }
  plain::write(weights, weight);
  plain::write(firsts, first_moment);
  plain::write(seconds, second_moment);
}

}  // namespace hearth::plain
