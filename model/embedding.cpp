#include "model/embedding.h"

namespace hearth {

Embedding::Embedding(std::int64_t vocabulary, std::int64_t width, Law law)
    : vocabulary_(vocabulary), width_(width), law_(law) {}

std::vector<Parameter> Embedding::parameters() const {
  return {{.name = "embedding", .full = {vocabulary_, width_}, .cut = Cut::rows, .law = law_, .decayed = true}};
}

std::unique_ptr<Activations> Embedding::activations(const BatchShape&, Dtype, KeptMemory&) const {
  return std::make_unique<NoActivations>();
}

void Embedding::forward(In x, Out y, Activations&, Pass& pass) const {
  pass.ops.embedding(x, pass.weights[0], 0, y);
}

void Embedding::backward(In x, const Activations&, In dy, Out, Pass& pass) const {
  pass.gradients.lookup(0, x, 0, dy, pass.batch.example);
}

}  // namespace hearth
