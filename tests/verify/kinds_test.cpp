// Ranks on processors of different kinds: no bits are promised, and what is wrong is caught all the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <nlohmann/json.hpp>

#include "parallel/thread_world.h"
#include "verify/verify_run.h"

namespace hearth {
namespace {

using test::Fault;
using test::Wish;
using testing::ElementsAre;
using testing::HasSubstr;

/// The last rank computes with older instructions than the others, whose sums are folded otherwise.
VerifyReport on_unlike_ranks(const Wish& wish, bool says_so, Fault fault = Fault::none) {
  VerifyReport first;
  std::mutex mutex;
  ThreadWorld(wish.mesh.ranks()).run([&](Communicator& ranks) {
    test::FaultyWorld world(ranks, fault);
    const bool old = world.rank() + 1 == world.size();
    const VerifyReport report = verify(test::recipe_of(wish), test::real_config("llama"), world, [&] {
      return VerifyDevice(make_cpu_backend({.isa = old ? Isa::sse41 : Isa::best}), old && says_so ? "old" : "new");
    });
    const std::lock_guard lock(mutex);
    if (world.rank() == 0) first = report;
  });
  return first;
}

std::vector<Wish> wishes() {
  return {{.mesh = {.data = 2}, .zero_stage = 0},
          {.mesh = {.data = 2}, .zero_stage = 3, .dtype = Dtype::bf16},
          {.mesh = {.pipe = 2}, .schedule = Recipe::PipelineSchedule::zero_bubble},
          {.mesh = {.pipe = 2, .data = 2}, .zero_stage = 2}};
}

TEST(Kinds, UnlikeProcessorsAreHeldToRoundingAndTheReportSaysWhy) {
  for (const Wish& wish : wishes()) {
    const VerifyReport report = on_unlike_ranks(wish, true);
    const std::string text = verify_text(report, "recipe.yaml");
    EXPECT_TRUE(report.good()) << text;
    EXPECT_THAT(text, HasSubstr("\nnote: ranks compute on different kinds of processor (rank 0: new; rank "));
    EXPECT_THAT(text, HasSubstr("allowed: no bits on processors of different kinds, but 8 u sqrt(n)"));
    EXPECT_EQ(nlohmann::json::parse(verify_json(report, "recipe.yaml"))["note"], report.note);
    for (const VerifyCheck& check : report.checks) EXPECT_GT(check.allowed, 0) << text;
  }
}

TEST(Kinds, TheirBitsDiffer) {
  const VerifyReport report = on_unlike_ranks({.mesh = {.data = 2}}, false);
  EXPECT_FALSE(report.good()) << "processors that compute the same bits would make the test above say nothing";
  EXPECT_EQ(report.note, "");
  EXPECT_FALSE(nlohmann::json::parse(verify_json(report, "recipe.yaml")).contains("note"));
}

TEST(Kinds, AFaultIsCaughtOnUnlikeProcessors) {
  for (const Fault fault : {Fault::missing_sum, Fault::doubled}) {
    const VerifyReport report = on_unlike_ranks({.mesh = {.data = 2}, .zero_stage = 2}, true, fault);
    ASSERT_FALSE(report.good());
    EXPECT_EQ(report.worst()->what, "gradient") << verify_text(report, "");
    EXPECT_THAT(report.axes, ElementsAre("data"));
  }
}

}  // namespace
}  // namespace hearth
