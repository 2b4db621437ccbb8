#include "model/tensor_axis.h"

namespace hearth {

std::int64_t rows_of(const BatchShape& shape, const AxisSizes& axes) {
  if (shape.tokens % axes.tensor != 0) {
    fail(Kind::internal, "internal error: {} tokens are not cut over {} tensor ranks (please report this)",
         shape.tokens, axes.tensor);
  }
  return shape.tokens / axes.tensor;
}

std::size_t room_of_all_rows(const BatchShape& shape, const AxisSizes& axes, Dtype dtype, std::int64_t columns) {
  return axes.tensor == 1 ? 0 : Arena::room(dtype, {shape.tokens, columns});
}

Tensor gather_rows(In mine, Scratch& scratch, Communicator& tensor) {
  if (tensor.size() == 1) return mine;
  Dims dims = mine.dims;
  dims.size[0] *= tensor.size();
  const Tensor all = scratch.take(mine.dtype, dims);
  tensor.gather(mine, all).wait();
  return all;
}

Tensor own_rows(In all, const Communicator& tensor) {
  const std::int64_t rows = all.rows() / tensor.size();
  return all.row_slice(tensor.rank() * rows, rows);
}

}  // namespace hearth
