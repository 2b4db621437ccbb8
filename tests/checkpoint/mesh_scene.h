// Parameters of every cut, held by the ranks of any mesh: what a checkpoint must not remember.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/parameter.h"
#include "checkpoint/scene.h"
#include "trainer/checkpoint.h"

namespace hearth::test {

/// Ranks along two axes; rank = data rank * tensor + tensor rank.
struct MeshSize {
  int tensor = 1;
  int data = 1;
  int ranks() const { return tensor * data; }
};

class MeshScene {
 public:
  explicit MeshScene(std::uint64_t seed);

  /// Cut by rows, by columns and not at all, asked for in 1, 2, 3, 4 and 6 pieces (fewer where the axis is smaller);
  /// extents mostly do not divide.
  const std::vector<Parameter>& parameters(int tensor) const { return parameters_[static_cast<std::size_t>(tensor)]; }
  std::int64_t elements() const;
  const Scene& values() const { return scene_; }

  /// What a rank saves: the pieces of its tensor rank end to end, padding included, cut between the data ranks, evenly
  /// (`cuts` 0) or anywhere; of those, what it is the first holder of. Tensors are views into the local matrices.
  struct Owned {
    std::vector<SavedPiece> pieces;
    std::vector<std::vector<float>> storage;
  };
  Owned owned(int rank, MeshSize mesh, std::uint64_t cuts) const;
  SaveResult save_from(MeshSize mesh, const Path& output_dir, std::int64_t step, std::uint64_t cuts) const;

  /// Every rank of `mesh` reads what it holds, from its interval; each element comes as it was saved, and padding stays
  /// as it was.
  testing::AssertionResult is_read_by(MeshSize mesh, std::uint64_t cuts, const CheckpointReader& reader) const;

 private:
  struct Local {  // a piece as a rank holds it, and what of it lies in the rank's interval
    int parameter = 0;
    int piece = 0;
    Interval part;
  };
  std::vector<Local> interval_of(int rank, MeshSize mesh, std::uint64_t cuts) const;
  std::vector<float> matrix(const Parameter& parameter, int piece, Role role) const;
  testing::AssertionResult holds(const std::vector<float>& read, const Parameter& parameter, int piece,
                                 Role role) const;

  Scene scene_;
  std::vector<std::vector<Parameter>> parameters_;  // by the size of the tensor axis
  std::vector<std::vector<float>> whole_;           // of each parameter, by role
};

}  // namespace hearth::test
