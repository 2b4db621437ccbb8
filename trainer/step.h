// One optimizer step: which microbatches this rank runs, what they add up to, how the weights move.
//
// How results come not to depend on the mesh, bit for bit:
//   1. A step's rows are cut into microbatches 0..M-1 of the same number of rows, whatever the ranks.
//   2. Data rank r of R runs microbatches r, R + r, 2R + r, ...; each one's gradient is made in a fresh buffer and
//      added rank by rank onto the running sum, so the sum goes in the order of the microbatches.
//   3. Denominators are counted before the first backward, over all microbatches.
//   4. Losses are summed in f64 within a microbatch, then in order of the microbatches; norms in order of their chunks.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "parallel/global_norm.h"
#include "trainer/groups.h"
#include "trainer/pipeline.h"
#include "trainer/rows.h"

namespace hearth {

struct StepOptions {
  std::int64_t microbatch_rows = 1;
  AdamW adamw;          // rate and step are filled in
  double max_norm = 1;  // 0: no clipping
};

struct StepResult {
  double loss = 0;  // nats per trained token
  double norm = 0;  // global gradient norm before clipping
  double rate = 0;
  std::int64_t tokens = 0;   // of all rows
  std::int64_t trained = 0;  // valid targets
  std::int64_t microbatches = 0;
  std::int64_t spare = 0;  // places of the last round that had no microbatch
  bool updated = true;     // false: NaN or infinity, nothing was changed
};

/// Where a number stopped being one.
struct Trouble {
  std::int64_t microbatch = 0;
  int rank = 0;  // of the world
  std::string block;
  std::string what;  // "forward" or "gradient"
};

/// Documents of the rows [first, first + count) of `chosen`, weighing each target by `weight`.
Documents documents_of(const Rows& rows, std::span<const std::int64_t> chosen, float weight);
/// The most tokens that `count` different rows of `rows` can have together.
std::int64_t capacity_for(const Rows& rows, std::int64_t count);

/// The microbatches of a run: `rows` places of the row cursor each, one after the other from `first` until `end`, where
/// the last may be short. REQUIRES: rows > 0, first >= 0.
struct Places {
  std::int64_t rows;
  std::int64_t first;
  std::int64_t end;
};
/// The most tokens that one of these microbatches can have, whatever order each epoch takes the rows in. A microbatch
/// that crosses into another epoch may hold a row more than once, and more rows than there are. 0 where there is none.
std::int64_t capacity_for(const Rows& rows, const Places& microbatches);

class Stepper {
 public:
  Stepper(Pipeline& pipeline, Groups& groups, Ops& ops, Memory& memory, const Rows& rows, const StepOptions& options);

  /// Runs the rows `chosen` (of all ranks, in order) as step number `step` (from 0) at `rate`. Every rank calls it
  /// alike.
  StepResult step(std::int64_t step, std::span<const std::int64_t> chosen, double rate);
  /// After a step that was not updated: runs it again, looking everywhere, and says where the first bad number arose.
  Trouble diagnose(std::span<const std::int64_t> chosen);

 private:
  struct Share;  // what this rank does of one step
  Share share_of(std::span<const std::int64_t> chosen) const;
  double run(const Share& share, const Inspect& look);
  void update(std::int64_t step, double rate, StepResult& result);

  Pipeline& pipeline_;
  Groups& groups_;
  Mesh& mesh_;
  Ops& ops_;
  const Rows& rows_;
  StepOptions options_;
  Buffer control_;
  GlobalNorm norm_;
};

}  // namespace hearth
