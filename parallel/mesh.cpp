#include "parallel/mesh.h"

namespace hearth {

namespace {

void refuse_larger_than_one(const char* key, int size) {
  if (size != 1) fail(Kind::usage, "{}: {}: this axis is not there yet; leave it at 1 and use data ranks", key, size);
}

}  // namespace

Mesh::Mesh(Communicator& world, const MeshShape& shape) : world_(world), shape_(shape) {
  refuse_larger_than_one("pipeline_parallel_size", shape.pipe);
  refuse_larger_than_one("context_parallel_size", shape.context);
  refuse_larger_than_one("tensor_parallel_size", shape.tensor);
  if (shape.data < 1 || shape.ranks() != world.size()) {
    fail(Kind::usage,
         "a mesh of {} x {} x {} x {} (pipe, data, context, tensor) does not fit {} ranks; their product must "
         "be the number of ranks",
         shape.pipe, shape.data, shape.context, shape.tensor, world.size());
  }
  const std::array<int, 4> sizes{shape.pipe, shape.data, shape.context, shape.tensor};
  int stride = world.size();
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    const int outside = stride;
    stride /= sizes[axis];
    if (sizes[axis] == 1) {
      axes_[axis] = make_self_communicator();
    } else {
      const int color = world.rank() / outside * stride + world.rank() % stride;
      axes_[axis] = world.split(color, world.rank());
    }
  }
}

}  // namespace hearth
