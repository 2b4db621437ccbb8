#include <Eigen/Core>

#include "kernels/check.h"
#include "kernels/plain/plain_ops.h"
#include "kernels/plain/values.h"

namespace hearth::plain {

namespace {
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const Matrix> map(const Values& values) {
  return {values.elements.data(), values.rows, values.columns};
}
}  // namespace

void PlainOps::matmul(In a, Turn turn_a, In b, Turn turn_b, double scale, Write write, Out y) {
  check::matmul(a, turn_a, b, turn_b, y);
  if (y.elements() == 0) return;
  const Values left_values = read(a);
  const Values right_values = read(b);
  const Matrix left = turn_a == Turn::yes ? Matrix(map(left_values).transpose()) : Matrix(map(left_values));
  const Matrix right = turn_b == Turn::yes ? Matrix(map(right_values).transpose()) : Matrix(map(right_values));
  Values result = write == Write::add ? read(y) : Values(y.rows(), y.row_elements());
  Eigen::Map<Matrix> target(result.elements.data(), result.rows, result.columns);
  if (left.cols() > 0) target.noalias() += scale * (left * right);
  plain::write(result, y);
}

}  // namespace hearth::plain
