// A small model to save: parameters of awkward sizes, cut over any number of ranks at any places.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/checkpoint.h"

namespace hearth::test {

/// Every element of every role is a function of (name, index, role, seed), so that what a reader gives can be told from
/// any other element, role and save.
class Scene {
 public:
  explicit Scene(std::uint64_t seed, bool moments = true);

  const std::map<std::string, Dims>& dims() const { return dims_; }
  bool moments() const { return moments_; }
  float value(Role role, const std::string& name, std::int64_t index) const;
  RunState state(std::int64_t step) const;
  CarriedFiles carried() const;

  /// The pieces of rank `rank` of `ranks`: all parameters end to end, cut at `ranks` - 1 places that depend on `cuts`.
  struct Owned {
    std::vector<SavedPiece> pieces;
    std::vector<std::vector<float>> storage;
  };
  Owned owned(int rank, int ranks, std::uint64_t cuts = 0) const;

  /// Saves as this rank of `world`.
  SaveResult save(Communicator& world, const Path& output_dir, std::int64_t step, SaveOptions options = {},
                  std::uint64_t cuts = 0) const;
  /// Saves from `ranks` threads; the results of all ranks, in their order.
  std::vector<SaveResult> save_from(int ranks, const Path& output_dir, std::int64_t step, std::uint64_t cuts = 0) const;

  /// Whether every element that the reader gives is this scene's, bit for bit, and the state is that of `step`.
  testing::AssertionResult is_in(const CheckpointReader& reader, std::int64_t step) const;

 private:
  std::uint64_t seed_;
  bool moments_;
  std::map<std::string, Dims> dims_;
};

/// Names in a folder that begin with a dot or end with .tmp.
std::vector<std::string> leftovers(const Path& folder);
/// The regular files below a folder.
std::vector<Path> files_of(const Path& folder);
/// The kind of the Error that `work` throws, its text into `text`; fails the test when it throws none.
Kind kind_of(const std::function<void()>& work, std::string* text = nullptr);

}  // namespace hearth::test
