// The ranks of a job as named axes.
#pragma once

#include <array>
#include <memory>

#include "parallel/communicator.h"

namespace hearth {

/// Outermost first: ranks that differ in `tensor` alone are neighbours. The expert axis will be a second view of data x
/// context.
enum class Axis { pipe, data, context, tensor };

struct MeshShape {
  int pipe = 1;
  int data = 1;
  int context = 1;
  int tensor = 1;
  int ranks() const { return pipe * data * context * tensor; }
};

class Mesh {
 public:
  /// Splits `world`, which must outlive the mesh; every rank calls it. Throws Kind::usage when the shape is not the
  /// world's size, and for any axis but data that is larger than one.
  Mesh(Communicator& world, const MeshShape& shape);

  Communicator& world() { return world_; }
  /// The ranks that differ from this one in `axis` alone; an axis of size one is a communicator of one rank.
  Communicator& along(Axis axis) { return *axes_[static_cast<std::size_t>(axis)]; }
  const MeshShape& shape() const { return shape_; }

 private:
  Communicator& world_;
  MeshShape shape_;
  std::array<std::unique_ptr<Communicator>, 4> axes_;
};

}  // namespace hearth
