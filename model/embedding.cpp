#include "model/embedding.h"

#include "model/tensor_axis.h"

namespace hearth {

Embedding::Embedding(std::int64_t vocabulary, std::int64_t width, Law law, AxisSizes axes)
    : vocabulary_(vocabulary), width_(width), law_(law), axes_(axes) {}

std::vector<Parameter> Embedding::parameters() const {
  return {{.name = "embedding",
           .full = {vocabulary_, width_},
           .cut = Cut::rows,
           .pieces = axes_.tensor,
           .law = law_,
           .decayed = true}};
}

Dims Embedding::out(const BatchShape& shape) const {
  return {rows_of(shape, axes_), width_};
}

ScratchBytes Embedding::scratch_bytes(const BatchShape& shape, Dtype compute) const {
  const std::size_t all = room_of_all_rows(shape, axes_, compute, width_);
  return {all, all};
}

std::unique_ptr<Activations> Embedding::activations(const BatchShape&, Dtype, KeptMemory&) const {
  return std::make_unique<NoActivations>();
}

/// The token of the first row of this rank's piece.
std::int64_t Embedding::first_token(const Communicator& tensor) const {
  return piece_extent(parameters()[0], tensor.rank()).begin;
}

void Embedding::forward(In x, Out y, Activations&, Pass& pass) const {
  sum_rows(Write::over, y, pass, [&](Write, Out rows) {  // a token's row is in one piece, and zero in the others
    pass.ops.embedding(x, pass.weights[0], first_token(pass.tensor), rows);
  });
}

void Embedding::backward(In x, const Activations&, In dy, Out, Pass& pass) const {
  Scratch scratch(pass.scratch);
  const Tensor dy_rows = gather_rows(dy, scratch, pass.tensor);  // (T, D)
  pass.gradients.lookup(0, x, first_token(pass.tensor), dy_rows, pass.batch.example);
}

}  // namespace hearth
