#include <algorithm>

#include "kernels/check.h"
#include "kernels/cpu/cpu_ops.h"

namespace hearth::cpu {

namespace {

template <class... Tensors>
bool any_pitched(const Tensors&... tensors) {
  return (!tensors.unpitched() || ...);
}

bool has_loops(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::bf16;
}

double element(In x, std::int64_t row, std::int64_t column) {
  switch (x.dtype) {
    case Dtype::f64:
      return x.row<double>(row)[column];
    case Dtype::f32:
      return x.row<float>(row)[column];
    case Dtype::bf16:
      return static_cast<float>(x.row<Bf16>(row)[column]);
    case Dtype::f16:
      return static_cast<float>(x.row<F16>(row)[column]);
    default:
      fail(Kind::internal, "{} is no float dtype", name_of(x.dtype));
  }
}

void set_element(Out y, std::int64_t row, std::int64_t column, double value) {
  switch (y.dtype) {
    case Dtype::f64:
      y.row<double>(row)[column] = value;
      return;
    case Dtype::f32:
      y.row<float>(row)[column] = static_cast<float>(value);
      return;
    case Dtype::bf16:
      y.row<Bf16>(row)[column] = Bf16(static_cast<float>(value));
      return;
    case Dtype::f16:
      y.row<F16>(row)[column] = F16(static_cast<float>(value));
      return;
    case Dtype::i32:
      y.row<std::int32_t>(row)[column] = static_cast<std::int32_t>(value);
      return;
    default:
      fail(Kind::internal, "{} is no dtype to compute in", name_of(y.dtype));
  }
}

}  // namespace

void CpuOps::fill(double value, Out y) {
  if (y.elements() == 0) return;
  std::int64_t pattern = 0;  // one element's bytes, as the dtype stores the value
  set_element(Tensor(&pattern, y.dtype, {1}), 0, 0, value);
  strips(y, !y.unpitched(), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
    switch (size_of(y.dtype)) {
      case 2:
        std::fill_n(reinterpret_cast<std::uint16_t*>(at(y, row, column)), count, static_cast<std::uint16_t>(pattern));
        return;
      case 4:
        std::fill_n(reinterpret_cast<std::uint32_t*>(at(y, row, column)), count, static_cast<std::uint32_t>(pattern));
        return;
      default:
        std::fill_n(reinterpret_cast<std::int64_t*>(at(y, row, column)), count, pattern);
    }
  });
}

void CpuOps::cast(In x, Out y) {
  check::cast(x, y);
  if (has_loops(x.dtype) && has_loops(y.dtype)) {
    const auto loop = loops_.cast[storage(x)][storage(y)];
    strips(y, any_pitched(x, y), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
      loop(at(x, row, column), at(y, row, column), count);
    });
    return;
  }
  strips(y, any_pitched(x, y), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
    for (std::int64_t i = column; i < column + count; ++i) set_element(y, row, i, element(x, row, i));
  });
}

void CpuOps::add(In x, Out y) {
  check::add(x, y);
  const auto loop = loops_.add[storage(x)][storage(y)];
  strips(y, any_pitched(x, y), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
    loop(at(x, row, column), at(y, row, column), count);
  });
}

void CpuOps::sum(In a, In b, Out y) {
  check::sum(a, b, y);
  strips(y, any_pitched(a, b, y), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
    loops_.sum[storage(y)](at(a, row, column), at(b, row, column), at(y, row, column), count);
  });
}

void CpuOps::scale(double factor, Out y) {
  check::scale(y);
  strips(y, !y.unpitched(), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
    loops_.scale[storage(y)](static_cast<float>(factor), at(y, row, column), count);
  });
}

void CpuOps::matmul(In a, Turn turn_a, In b, Turn turn_b, double scale, Write write, Out y) {
  check::matmul(a, turn_a, b, turn_b, y);
  storage(a);
  products_.matmul(a, turn_a, b, turn_b, static_cast<float>(scale), write, y);
}

void CpuOps::add_bias(In bias, Out y) {
  check::add_bias(bias, y);
  const auto loop = loops_.add[storage(bias)][storage(y)];
  rows(y, [&](std::int64_t row) { loop(bias.data, at(y, row, 0), y.row_elements()); });
}

// Strips of columns, each by one thread over all rows.
void CpuOps::column_sums(In x, const Tensor* other, float scale, Out sums) const {
  constexpr std::int64_t strip = 64;
  const std::int64_t width = x.row_elements();
  float* const to = sums.typed<float>();
  team_.each(ceil_divide(width, strip), [&](std::int64_t piece, int) {
    const std::int64_t from = piece * strip;
    loops_.column_sums[storage(x)](at(x, 0, from), x.pitch, other == nullptr ? nullptr : at(*other, 0, from),
                                   other == nullptr ? 0 : other->pitch, x.rows(), std::min(strip, width - from), scale,
                                   to + from);
  });
}

void CpuOps::bias_backward(In dy, double scale, Out db) {
  check::bias_backward(dy, db);
  column_sums(dy, nullptr, static_cast<float>(scale), db);
}

void CpuOps::swiglu(In gate, In up, Out y) {
  check::swiglu(gate, up, y);
  strips(y, any_pitched(gate, up, y), [&](std::int64_t row, std::int64_t column, std::int64_t count) {
    loops_.swiglu[storage(y)](at(gate, row, column), at(up, row, column), at(y, row, column), count);
  });
}

void CpuOps::swiglu_backward(In gate, In up, In dy, Out dgate, Out dup) {
  check::swiglu_backward(gate, up, dy, dgate, dup);
  const bool pitched = any_pitched(gate, up, dy, dgate, dup);
  strips(dy, pitched, [&](std::int64_t row, std::int64_t column, std::int64_t count) {
    loops_.swiglu_backward[storage(dy)](at(gate, row, column), at(up, row, column), at(dy, row, column),
                                        at(dgate, row, column), at(dup, row, column), count);
  });
}

}  // namespace hearth::cpu
