#include "parallel/mesh.h"

namespace hearth {

namespace {

/// `from` split by color, or one rank alone where that is what would be left.
std::unique_ptr<Communicator> split(Communicator& from, int color, int size) {
  if (size == 1) return make_self_communicator();
  return from.split(color, from.rank());
}

void check(const MeshShape& shape, int ranks) {
  const bool positive = shape.pipe > 0 && shape.data > 0 && shape.context > 0 && shape.tensor > 0;
  if (!positive || shape.ranks() != ranks) {
    fail_everywhere(
        Kind::usage,
        "a mesh of {} x {} x {} x {} (pipe, data, context, tensor) does not fit {} ranks; their product must "
        "be the number of ranks",
        shape.pipe, shape.data, shape.context, shape.tensor, ranks);
  }
  const int sums = shape.data * shape.context;
  if (shape.shard < 0 || (shape.shard > 0 && sums % shape.shard != 0)) {
    fail_everywhere(Kind::usage, "data_shard_size: {}: it must divide data x context, which is {} here", shape.shard,
                    sums);
  }
}

}  // namespace

const char* name_of(Axis axis) {
  switch (axis) {
    case Axis::pipe:
      return "pipe";
    case Axis::data:
      return "data";
    case Axis::context:
      return "context";
    case Axis::tensor:
      break;
  }
  return "tensor";
}

std::string MeshShape::text() const {
  std::string text;
  const auto add = [&](Axis axis, int size) {
    if (size > 1) text += fmt::format("{}{} {}", text.empty() ? "" : " x ", name_of(axis), size);
  };
  add(Axis::pipe, pipe);
  add(Axis::data, data);
  add(Axis::context, context);
  add(Axis::tensor, tensor);
  if (shard > 0 && shard != data * context) text += fmt::format(", shards of {}", shard);
  return text.empty() ? "one rank" : text;
}

Mesh::Mesh(Communicator& world, const MeshShape& shape) : world_(world), shape_(shape) {
  check(shape, world.size());
  if (shape_.shard == 0) shape_.shard = shape.data * shape.context;
  const std::array<int, 4> sizes{shape.pipe, shape.data, shape.context, shape.tensor};
  int stride = world.size();
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    const int outside = stride;
    stride /= sizes[axis];
    axes_[axis] = split(world, world.rank() / outside * stride + world.rank() % stride, sizes[axis]);
  }
  const int sums = shape.data * shape.context;
  const int inside = sums * shape.tensor;
  sums_ = split(world, world.rank() / inside * shape.tensor + world.rank() % shape.tensor, sums);
  shard_ = split(*sums_, sums_->rank() / shape_.shard, shape_.shard);
  replicas_ = split(*sums_, sums_->rank() % shape_.shard, sums / shape_.shard);
  if (shape.pipe > 1) make_edges();
}

void Mesh::make_edges() {
  Communicator& pipe = along(Axis::pipe);
  const int stage = pipe.rank();
  const int stages = pipe.size();
  // Every stage takes part in every split; those that are not on the edge are left with one that they drop.
  for (int from = 0; from < stages; ++from) {
    const int to = (from + 1) % stages;
    const bool on_it = stage == from || stage == to;
    auto activations = pipe.split(on_it ? 0 : 1, stage == from ? 0 : 1);
    auto gradients = pipe.split(on_it ? 0 : 1, stage == from ? 0 : 1);
    if (stage == from) {
      edges_.activations_out = std::move(activations);
      edges_.gradients_in = std::move(gradients);
    } else if (stage == to) {
      edges_.activations_in = std::move(activations);
      edges_.gradients_out = std::move(gradients);
    }
  }
  const bool is_end = stage == 0 || stage == stages - 1;
  auto ends = pipe.split(is_end ? 0 : 1, stage);
  if (is_end) edges_.ends = std::move(ends);
}

Communicator& Mesh::holders(int pieces) {
  Communicator& tensor = along(Axis::tensor);
  auto& holders = holders_[pieces];
  if (!holders) holders = split(tensor, tensor.rank() * pieces / tensor.size(), tensor.size() / pieces);
  return *holders;
}

}  // namespace hearth
