// The tensor axis inside a block. Between blocks each rank has T / t rows. A map that is cut by its outputs begins by
// gathering all rows; one that is cut by its inputs ends in a part of all rows' sums on every rank, and each keeps the
// sum of its own rows. On an axis of one nothing is moved and nothing is copied.
#pragma once

#include "base/arena.h"
#include "model/block.h"

namespace hearth {

/// T / t: the rows of the residual stream that a tensor rank has. REQUIRES: T is a multiple of t.
std::int64_t rows_of(const BatchShape& shape, const AxisSizes& axes);

/// Bytes of an arena that all rows take where ranks have a part of them: nothing on an axis of one.
///   mine: (R, columns)   all: (t * R, columns)
std::size_t room_of_all_rows(const BatchShape& shape, const AxisSizes& axes, Dtype dtype, std::int64_t columns);

/// All rows, in rank order, of which every rank gives as many: in scratch, or `mine` itself where it is all.
///   mine: (R, ...)   the result: (t * R, ...)
Tensor gather_rows(In mine, Scratch& scratch, Communicator& tensor);

/// This rank's part of rows that every rank has: the rank-th of t equal ones.
Tensor own_rows(In all, const Communicator& tensor);

/// mine = (or += with Write::add) this rank's rows of the sum over ranks of what product(write, rows) makes of all rows.
/// Added in rank order behind what `mine` held, in f32, rounded once. `product` is called once, and overwrites or adds
/// to all elements of its rows.    mine: (R, O)   rows: (t * R, O), of mine's dtype
template <class Product>
void sum_rows(Write write, Out mine, Pass& pass, const Product& product) {
  if (pass.tensor.size() == 1) return product(write, mine);
  Scratch scratch(pass.scratch);
  const Tensor all = scratch.take(mine.dtype, {mine.rows() * pass.tensor.size(), mine.row_elements()});
  product(Write::over, all);
  pass.tensor.reduce_scatter(all, mine, write == Write::add ? Onto::held : Onto::nothing).wait();
}

}  // namespace hearth
