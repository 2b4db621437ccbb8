// A run on any mesh is the run on one rank, and may go on on any other: through train, from recipe to checkpoint.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "job/job.h"
#include "support/worse.h"

namespace hearth {
namespace {

using test::JobOptions;
using test::JobResult;
using test::run_on_threads;
using Lines = std::vector<std::string>;

/// One stretch of a run: on how many ranks, and what the recipe says about the mesh.
struct Part {
  int ranks;
  Lines mesh;
  int zero_stage = 0;
};

class Axes : public testing::Test {
 protected:
  Axes() { test::write_rows(folder_.path()); }

  JobResult whole(const std::string& dtype, std::int64_t steps) {
    run_on_threads(1, folder_.path(), "whole-" + dtype, {.dtype = dtype, .steps = steps});
    return test::result_of(folder_.path(), "whole-" + dtype);
  }

  /// Each part runs as many steps as every other.
  JobResult moved(const std::string& name, const std::vector<Part>& parts, const std::string& dtype,
                  std::int64_t steps) {
    std::int64_t number = 0;
    for (const Part& part : parts) {
      const std::int64_t until = steps * ++number / static_cast<std::int64_t>(parts.size());
      JobOptions options = {.zero_stage = part.zero_stage, .dtype = dtype, .steps = steps, .more = part.mesh};
      options.accumulation = number == 1 ? 4 / data_ranks(part) : 4;  // counts at the first start alone
      std::atomic<bool> flag = false;
      run_on_threads(part.ranks, folder_.path(), name, options, [&](RunContext& context) {
        context.interrupted = &flag;
        context.after_step = [&flag, until](std::int64_t done) {
          if (done == until) flag = true;
        };
      });
    }
    return test::result_of(folder_.path(), name);
  }

  static int data_ranks(const Part& part) {
    int ranks = part.ranks;
    for (const std::string& line : part.mesh) {
      if (line.find("parallel_size: 2") != std::string::npos) ranks /= 2;
    }
    return ranks;
  }

  test::Folder folder_;
};

constexpr const char* tensor = "tensor_parallel_size: 2";
constexpr const char* context = "context_parallel_size: 2";
constexpr const char* pipe = "pipeline_parallel_size: 2";

TEST_F(Axes, MovedWhereTheSumsAreTheSameItEndsInTheSameBits) {
  for (const std::string dtype : {"f32", "bf16"}) {
    const JobResult stayed = whole(dtype, 30);
    const JobResult result = moved("same-" + dtype,
                                   {{2, {}, 3},
                                    {2, {pipe}},
                                    {4, {pipe, "pipeline_schedule: zero_bubble"}, 3},
                                    {4, {"data_shard_size: 2"}, 2},
                                    {4, {pipe, "pipeline_schedule: interleaved"}, 1},
                                    {1, {}}},
                                   dtype, 30);
    EXPECT_TRUE(result == stayed) << dtype;
  }
}

double off(const std::vector<double>& some, const std::vector<double>& wanted) {
  double worst = some.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(some.size(), wanted.size()); ++i) {
    worst = test::worse(worst, std::abs(some[i] / wanted[i] - 1));
  }
  return worst;
}

/// Rows of 5 to 23 tokens, which neither axis divides. Bounds: those of five AdamW steps, of each of the two runs
/// (docs/numerics.md): hence twice those.
TEST_F(Axes, RowsThatDoNotDivideArePadded) {
  const JobResult one = whole("f32", 5);
  for (const Part& part : std::vector<Part>{{2, {tensor}},
                                            {2, {context}},
                                            {4, {tensor, context}},
                                            {4, {context}, 3},
                                            {4, {pipe, tensor}},
                                            {8, {pipe, tensor}, 3},
                                            {8, {pipe, context, tensor}, 1}}) {
    std::string name;
    for (const std::string& line : part.mesh) name += line.substr(0, line.find('_')) + "-";
    name += std::to_string(part.ranks);
    const JobResult result = moved(name, {part}, "f32", 5);
    EXPECT_LE(off(result.losses, one.losses), 2e-5) << name;
    EXPECT_LE(off(result.norms, one.norms), 2e-4) << name;
  }
}

TEST_F(Axes, MovedFromMeshToMesh) {
  const JobResult stayed = whole("f32", 5);
  const JobResult result =
      moved("moved", {{2, {}, 3}, {2, {tensor}}, {4, {pipe}, 3}, {2, {context}}, {1, {}}}, "f32", 5);
  EXPECT_LE(off(result.losses, stayed.losses), 2e-5);
  EXPECT_LE(off(result.norms, stayed.norms), 2e-4);
}

/// The first step after a move to the mesh where the run was before is the step that it would have done there (D2).
TEST_F(Axes, InterruptedOnItsMeshItEndsInTheSameBits) {
  const Part part = {8, {pipe, context, tensor}, 3};
  const JobResult whole = moved("at-once", {part}, "f32", 6);
  EXPECT_TRUE(moved("in-three", {part, part, part}, "f32", 6) == whole);
}

TEST_F(Axes, FastSumsEndWithinTheBound) {
  const JobResult fixed = whole("f32", 5);
  for (const int ranks : {1, 2, 4}) {
    const JobResult fast = moved("fast-" + std::to_string(ranks), {{ranks, {"sum_order: fast"}, 1}}, "f32", 5);
    EXPECT_LE(off(fast.losses, fixed.losses), 2e-5) << ranks;
    EXPECT_LE(off(fast.norms, fixed.norms), 2e-4) << ranks;
  }
}

}  // namespace
}  // namespace hearth
