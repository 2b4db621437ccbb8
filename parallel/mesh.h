// The ranks of a job as named axes.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "parallel/communicator.h"

namespace hearth {

/// Outermost first: ranks that differ in `tensor` alone are neighbours. The expert axis will be a second view of data x
/// context.
enum class Axis { pipe, data, context, tensor };
const char* name_of(Axis axis);

struct MeshShape {
  int pipe = 1;
  int data = 1;
  int context = 1;
  int tensor = 1;
  int shard = 0;  // ranks of data x context that share what ZeRO shards; neighbours; 0: all of them
  int ranks() const { return pipe * data * context * tensor; }
  bool operator==(const MeshShape&) const = default;
  std::string text() const;  // "pipe 2 x data 2 x tensor 2", axes of size one left out; "one rank"
};

/// What passes between neighbouring stages of a pipeline: a communicator of two ranks for each edge s -> s + 1 (the last
/// stage's goes on to the first) and each kind of message, so that every channel has one order. Rank 0 is the stage that
/// sends activations, rank 1 the one that sends gradients back.
struct PipeEdges {
  std::unique_ptr<Communicator> activations_out, activations_in;  // to the next stage, from the previous one
  std::unique_ptr<Communicator> gradients_out, gradients_in;      // to the previous stage, from the next one
  std::unique_ptr<Communicator> ends;  // first stage (rank 0) and last (rank 1), on those two: tied weights
};

class Mesh {
 public:
  /// Splits `world`, which must outlive the mesh; every rank calls it. Throws Kind::usage when the shape is not the
  /// world's size, or the shard size does not divide data x context.
  Mesh(Communicator& world, const MeshShape& shape);

  Communicator& world() { return world_; }
  /// The ranks that differ from this one in `axis` alone; an axis of size one is a communicator of one rank.
  Communicator& along(Axis axis) { return *axes_[static_cast<std::size_t>(axis)]; }
  const MeshShape& shape() const { return shape_; }

  /// data x context, data outermost: everyone whose gradients of one piece are added up, in the order of the sum.
  Communicator& sums() { return *sums_; }
  /// Neighbours in sums() that share state between them, and the ranks with the same place in their own such group:
  /// sums().rank() = replicas().rank() * shard().size() + shard().rank().
  Communicator& shard() { return *shard_; }
  Communicator& replicas() { return *replicas_; }
  /// The ranks of the tensor axis that hold the same piece when a parameter has `pieces` pieces. Every rank of the axis
  /// asks for the same numbers in the same order; made at the first call.
  Communicator& holders(int pieces);
  /// Null members where the pipe axis has one rank.
  PipeEdges& edges() { return edges_; }

 private:
  void make_edges();

  Communicator& world_;
  MeshShape shape_;
  std::array<std::unique_ptr<Communicator>, 4> axes_;
  std::unique_ptr<Communicator> sums_, shard_, replicas_;
  std::map<int, std::unique_ptr<Communicator>> holders_;
  PipeEdges edges_;
};

}  // namespace hearth
