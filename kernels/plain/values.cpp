#include "kernels/plain/values.h"

namespace hearth::plain {

namespace {

template <class T>
void read_as(In x, Values& values) {
  for (std::int64_t row = 0; row < values.rows; ++row) {
    for (std::int64_t column = 0; column < values.columns; ++column) {
      if constexpr (std::is_same_v<T, Bf16>) {
        values(row, column) = static_cast<float>(x.row<T>(row)[column]);
      } else {
        values(row, column) = static_cast<double>(x.row<T>(row)[column]);
      }
    }
  }
}

template <class T>
void write_as(const Values& values, Out y) {
  for (std::int64_t row = 0; row < values.rows; ++row) {
    for (std::int64_t column = 0; column < values.columns; ++column) {
      if constexpr (std::is_same_v<T, Bf16>) {
        y.row<T>(row)[column] = Bf16(static_cast<float>(values(row, column)));
      } else {
        y.row<T>(row)[column] = static_cast<T>(values(row, column));
      }
    }
  }
}

}  // namespace

Values read(In x) {
  Values values(x.rows(), x.row_elements());
  switch (x.dtype) {
    case Dtype::f64:
      read_as<double>(x, values);
      break;
    case Dtype::f32:
      read_as<float>(x, values);
      break;
    case Dtype::bf16:
      read_as<Bf16>(x, values);
      break;
    case Dtype::i32:
      read_as<std::int32_t>(x, values);
      break;
    default:
      fail(Kind::internal, "the plain backend does not read {} tensors", name_of(x.dtype));
  }
  return values;
}

void write(const Values& values, Out y) {
  require(values.rows == y.rows() && values.columns == y.row_elements(),
          "values are written to a tensor of their dims");
  switch (y.dtype) {
    case Dtype::f64:
      return write_as<double>(values, y);
    case Dtype::f32:
      return write_as<float>(values, y);
    case Dtype::bf16:
      return write_as<Bf16>(values, y);
    case Dtype::i32:
      return write_as<std::int32_t>(values, y);
    default:
      fail(Kind::internal, "the plain backend does not write {} tensors", name_of(y.dtype));
  }
}

std::vector<std::int64_t> read_integers(In x) {
  std::vector<std::int64_t> integers;
  for (const double value : read(x).elements) integers.push_back(static_cast<std::int64_t>(value));
  return integers;
}

}  // namespace hearth::plain
