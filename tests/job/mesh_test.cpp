// Any split of the work gives the bits of one rank: losses, norms, weights, moments of a 30-step run.
#include <gtest/gtest.h>

#include "job/job.h"

namespace hearth {
namespace {

using test::JobOptions;
using test::run_on_threads;

class MeshOf : public testing::TestWithParam<std::string> {
 protected:
  MeshOf() { test::write_rows(folder_.path()); }
  JobOptions options() const { return {.dtype = GetParam()}; }
  test::Folder folder_;
};

/// A covering part of stages x (ranks x accumulation) x recomputation x threads.
TEST_P(MeshOf, OneRankAndManyGiveTheSameBits) {
  JobOptions plain = options();
  run_on_threads(1, folder_.path(), "one", plain);
  const test::JobResult one = test::result_of(folder_.path(), "one");
  ASSERT_EQ(one.losses.size(), 30U);
  EXPECT_LT(one.losses.back(), one.losses.front());
  bool clipped = false;
  for (const double norm : one.norms) clipped = clipped || norm > 0.5;
  EXPECT_TRUE(clipped) << "clipping must be at work for this test to mean something";

  struct Case {
    int ranks, stage, recompute, threads;
  };
  int number = 0;
  for (const Case& c : std::vector<Case>{{1, 3, 1, 1},
                                         {1, 0, 2, 2},
                                         {2, 0, 0, 1},
                                         {2, 1, 1, 1},
                                         {2, 2, 0, 2},
                                         {2, 3, 1, 1},
                                         {4, 0, 1, 1},
                                         {4, 1, 0, 1},
                                         {4, 2, 1, 1},
                                         {4, 3, 0, 1}}) {
    JobOptions changed = options();
    changed.accumulation = 4 / c.ranks;
    changed.zero_stage = c.stage;
    changed.recompute = c.recompute;
    changed.threads = c.threads;
    const std::string name = fmt::format("case-{}", number++);
    run_on_threads(c.ranks, folder_.path(), name, changed);
    EXPECT_TRUE(test::result_of(folder_.path(), name) == one)
        << c.ranks << " ranks, ZeRO " << c.stage << ", recompute " << c.recompute << ", threads " << c.threads;
    // Planned for the longest microbatch that there can be, which the order of rows may never bring together.
    const auto peak = static_cast<double>(test::peak_of(folder_.path(), name));
    const auto planned = static_cast<double>(test::plan_of(folder_.path(), changed, c.ranks).total());
    EXPECT_LE(peak, planned);
    EXPECT_GE(peak, 0.97 * planned);
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, MeshOf, testing::Values("f32", "bf16"), [](const auto& of) { return of.param; });

}  // namespace
}  // namespace hearth
