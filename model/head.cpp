#include "model/head.h"

#include <algorithm>
#include <utility>

#include "model/embedding.h"
#include "model/statistics.h"

namespace hearth {

Head::Head(std::string parameter, std::int64_t vocabulary, std::int64_t width, Law law, double smoothing)
    : parameter_(std::move(parameter)), vocabulary_(vocabulary), width_(width), law_(law), smoothing_(smoothing) {}

std::vector<Parameter> Head::parameters() const {
  return {{.name = parameter_, .full = {vocabulary_, width_}, .cut = Cut::rows, .law = law_, .decayed = true}};
}

std::unique_ptr<Activations> Head::activations(const BatchShape&, Dtype, KeptMemory&) const {
  return std::make_unique<NoActivations>();
}

void Head::logits(In x, Out y, Pass& pass) const {
  pass.ops.matmul(x, Turn::no, pass.weights[0], Turn::yes, 1, Write::over, y);  // (T, V)
}

void Head::forward(In x, Out y, Activations&, Pass& pass) const {
  const Dtype statistics = statistics_of(x.dtype);
  const Tensor losses = y.as({y.rows()});
  for (std::int64_t row = 0; row < x.rows(); row += chunk) {
    const std::int64_t rows = std::min(chunk, x.rows() - row);
    Scratch scratch(pass.scratch);
    const Tensor some = scratch.take(statistics, {rows, vocabulary_});
    const Tensor row_statistics = scratch.take(statistics, {rows, head_statistics_columns});
    const Tensor targets = pass.batch.targets.row_slice(row, rows);
    logits(x.row_slice(row, rows), some, pass);
    pass.ops.head_statistics(some, targets, 0, row_statistics);
    pass.ops.head_losses(row_statistics, targets, smoothing_, vocabulary_, losses.row_slice(row, rows));
  }
}

void Head::loss_and_gradient(In x, Out losses, Out dx, Pass& pass) const {
  const Dtype statistics = statistics_of(x.dtype);
  for (std::int64_t row = 0; row < x.rows(); row += chunk) {
    const std::int64_t rows = std::min(chunk, x.rows() - row);
    Scratch scratch(pass.scratch);
    const Tensor some = scratch.take(statistics, {rows, vocabulary_});  // (rows, V)
    const Tensor row_statistics = scratch.take(statistics, {rows, head_statistics_columns});
    const Tensor targets = pass.batch.targets.row_slice(row, rows);
    const Tensor weights = pass.batch.weights.row_slice(row, rows);
    const Tensor x_rows = x.row_slice(row, rows);
    logits(x_rows, some, pass);
    pass.ops.head_statistics(some, targets, 0, row_statistics);
    pass.ops.head_losses(row_statistics, targets, smoothing_, vocabulary_, losses.row_slice(row, rows));
    const Tensor d_some = some.dtype == x.dtype ? some : scratch.take(x.dtype, some.dims);  // (rows, V)
    pass.ops.head_backward(some, row_statistics, targets, weights, 0, smoothing_, vocabulary_, d_some);
    pass.gradients.linear(0, x_rows, d_some, pass.batch.example.row_slice(row, rows), 1);
    pass.ops.matmul(d_some, Turn::no, pass.weights[0], Turn::no, 1, Write::over, dx.row_slice(row, rows));
  }
}

void Head::backward(In, const Activations&, In, Out, Pass&) const {
  require(false, "the head is run forward and backward in one call, loss_and_gradient");
}

}  // namespace hearth
