// Training without a model: gradients are made up from the weights, the step and the microbatch, so that whatever a
// group loses, doubles or mixes up shows in the final weights.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/flat_group.h"
#include "parallel/mesh.h"

namespace hearth::test {

struct FakeGroup {
  std::vector<Parameter> parameters;
  int accumulators = 1;
};

struct FakeRun {
  std::vector<FakeGroup> groups;
  int ranks = 1;
  int stage = 0;
  Dtype compute = Dtype::f32;
  int steps = 5;
  int microbatches = 4;  // of a step; rank r takes r, r + ranks, ...
  bool delays = false;   // ranks sleep at random places
  Poison poison = Poison::yes;
  int shard = 0;  // ranks that share state; 0: all
  SumOrder order = SumOrder::fixed;
};

/// A parameter with no more than a name and a number of elements.
Parameter flat_parameter(std::string name, std::int64_t elements);
/// Groups of uneven, prime and tiny sizes; the first has two accumulators, as tied ends do.
std::vector<FakeGroup> uneven_groups();

struct FakeResult {
  std::map<std::string, std::vector<float>> weights;  // whole parameters
  std::map<std::string, std::vector<float>> moments;
  std::vector<double> norms;                   // one a step
  std::vector<std::size_t> peaks;              // one a rank
  std::vector<std::uint64_t> takes_when_warm;  // by rank: memory taken after the first step
  Traffic traffic;                             // of rank 0, all steps
};

/// Through FlatGroup and GlobalNorm, on `run.ranks` threads.
FakeResult train(const FakeRun& run);
/// The part of one rank of any communicator: NaN where another rank owns the element. run.ranks is not looked at.
FakeResult train_rank(const FakeRun& run, Communicator& data);
/// The same numbers from plain arrays on one rank: what train() must give, bit for bit.
FakeResult train_plainly(const FakeRun& run);

}  // namespace hearth::test
