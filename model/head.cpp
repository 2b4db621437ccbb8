#include "model/head.h"

#include <algorithm>
#include <utility>

#include "model/embedding.h"
#include "model/statistics.h"
#include "model/tensor_axis.h"

namespace hearth {

namespace {

/// The logits of this rank's piece, padding among them: (R, v), v = ceil(V / t).
void product(In x, Out y, Pass& pass) {
  pass.ops.matmul(x, Turn::no, pass.weights[0], Turn::yes, 1, Write::over, y);
}

}  // namespace

Head::Head(std::string parameter, std::int64_t vocabulary, std::int64_t width, Law law, double smoothing,
           AxisSizes axes)
    : parameter_(std::move(parameter)),
      vocabulary_(vocabulary),
      width_(width),
      law_(law),
      smoothing_(smoothing),
      axes_(axes) {}

std::vector<Parameter> Head::parameters() const {
  return {{.name = parameter_,
           .full = {vocabulary_, width_},
           .cut = Cut::rows,
           .pieces = axes_.tensor,
           .law = law_,
           .decayed = true}};
}

std::unique_ptr<Activations> Head::activations(const BatchShape&, Dtype, KeptMemory&) const {
  return std::make_unique<NoActivations>();
}

ScratchBytes Head::scratch_bytes(const BatchShape& shape, Dtype compute) const {
  const Dtype wide = statistics_of(compute);
  const std::int64_t rows = std::min(chunk, shape.tokens);
  const Dims some = {rows, (vocabulary_ + axes_.tensor - 1) / axes_.tensor};
  const std::size_t all = room_of_all_rows(shape, axes_, compute, width_);  // x, and in backward its gradient too
  const std::size_t logits = Arena::room(wide, some) + Arena::room(wide, {rows, head_statistics_columns});
  const std::size_t pieces = axes_.tensor == 1 ? 0 : Arena::room(wide, {axes_.tensor * rows, head_statistics_columns});
  const std::size_t gradient = compute == wide ? 0 : Arena::room(compute, some);
  return {all + logits + pieces, 2 * all + logits + std::max(pieces, gradient)};
}

/// The tokens whose logits a tensor rank makes: the first columns of its piece; the rest is padding.
Interval Head::columns_of(int tensor_rank) const {
  return piece_extent(parameters()[0], tensor_rank);
}

void Head::logits(In x, Out y, Pass& pass) const {
  const int ranks = pass.tensor.size();
  if (ranks == 1) return product(x, y, pass);
  Scratch scratch(pass.scratch);
  const Tensor pieces = scratch.take(y.dtype, {ranks * x.rows(), pass.weights[0].rows()});  // (t * R, v)
  const Tensor mine = own_rows(pieces, pass.tensor);
  product(x, mine, pass);
  pass.tensor.gather(mine, pieces).wait();
  for (int rank = 0; rank < ranks; ++rank) {
    const Interval columns = columns_of(rank);
    const Tensor piece = pieces.row_slice(rank * x.rows(), x.rows());
    pass.ops.cast(piece.column_slice(0, columns.count()), y.column_slice(columns.begin, columns.count()));
  }
}

/// Logits of this rank's piece, and of each row the statistics over the whole vocabulary.
///   x: (R, D)   logits: (R, v)   statistics: (R, 4)
void Head::measure(In x, In targets, Out logits, Out statistics, Pass& pass) const {
  const Interval columns = columns_of(pass.tensor.rank());
  product(x, logits, pass);
  const Tensor valid = logits.column_slice(0, columns.count());
  const int ranks = pass.tensor.size();
  if (ranks == 1) return pass.ops.head_statistics(valid, targets, columns.begin, statistics);
  Scratch scratch(pass.scratch);
  const Tensor pieces = scratch.take(statistics.dtype, {ranks * x.rows(), head_statistics_columns});
  const Tensor mine = own_rows(pieces, pass.tensor);
  pass.ops.head_statistics(valid, targets, columns.begin, mine);
  pass.tensor.gather(mine, pieces).wait();
  pass.ops.head_fold(pieces, statistics);
}

void Head::forward(In x, Out y, Activations&, Pass& pass) const {
  const Dtype statistics = statistics_of(x.dtype);
  const Tensor losses = y.as({y.rows()});
  Scratch outer(pass.scratch);
  const Tensor all = gather_rows(x, outer, pass.tensor);  // (T, D)
  for (std::int64_t row = 0; row < all.rows(); row += chunk) {
    const std::int64_t rows = std::min(chunk, all.rows() - row);
    Scratch scratch(pass.scratch);
    const Tensor some = scratch.take(statistics, {rows, pass.weights[0].rows()});  // (rows, v)
    const Tensor row_statistics = scratch.take(statistics, {rows, head_statistics_columns});
    const Tensor targets = pass.batch.targets.row_slice(row, rows);
    measure(all.row_slice(row, rows), targets, some, row_statistics, pass);
    pass.ops.head_losses(row_statistics, targets, smoothing_, vocabulary_, losses.row_slice(row, rows));
  }
}

void Head::loss_and_gradient(In x, Out losses, Out dx, Pass& pass) const {
  const Dtype statistics = statistics_of(x.dtype);
  const Interval columns = columns_of(pass.tensor.rank());
  const std::int64_t piece = pass.weights[0].rows();  // v
  Scratch outer(pass.scratch);
  const Tensor all = gather_rows(x, outer, pass.tensor);  // (T, D)
  sum_rows(Write::over, dx, pass, [&](Write write, Out d_all) {
    for (std::int64_t row = 0; row < all.rows(); row += chunk) {
      const std::int64_t rows = std::min(chunk, all.rows() - row);
      Scratch scratch(pass.scratch);
      const Tensor some = scratch.take(statistics, {rows, piece});  // (rows, v)
      const Tensor row_statistics = scratch.take(statistics, {rows, head_statistics_columns});
      const Tensor targets = pass.batch.targets.row_slice(row, rows);
      const Tensor weights = pass.batch.weights.row_slice(row, rows);
      const Tensor x_rows = all.row_slice(row, rows);
      measure(x_rows, targets, some, row_statistics, pass);
      pass.ops.head_losses(row_statistics, targets, smoothing_, vocabulary_, losses.row_slice(row, rows));
      const Tensor d_some = some.dtype == x.dtype ? some : scratch.take(x.dtype, some.dims);  // (rows, v)
      pass.ops.head_backward(some.column_slice(0, columns.count()), row_statistics, targets, weights, columns.begin,
                             smoothing_, vocabulary_, d_some.column_slice(0, columns.count()));
      pass.ops.fill(0, d_some.column_slice(columns.count(), piece - columns.count()));
      pass.gradients.linear(0, x_rows, d_some, pass.batch.example.row_slice(row, rows), 1);
      pass.ops.matmul(d_some, Turn::no, pass.weights[0], Turn::no, 1, write, d_all.row_slice(row, rows));
    }
  });
}

void Head::backward(In, const Activations&, In, Out, Pass&) const {
  require(false, "the head is run forward and backward in one call, loss_and_gradient");
}

}  // namespace hearth
