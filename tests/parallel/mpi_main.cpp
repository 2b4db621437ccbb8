// The main of tests on MPI ranks. It knows that it is one of many: failures carry their rank, a failure anywhere fails
// all, and a number of ranks other than HEARTH_RANKS is a failure.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <vector>

#include "conformance.h"
#include "fake_training.h"
#include "parallel/mpi.h"

namespace hearth::test {
namespace {

/// Prints failures with the rank. A rank that leaves a test in the middle would let the others wait for ever: it ends
/// them.
class RankPrinter final : public testing::EmptyTestEventListener {
 public:
  RankPrinter(MpiSession& session, int rank) : session_(session), rank_(rank) {}

  void OnTestStart(const testing::TestInfo& test) override {
    if (rank_ == 0) std::printf("%s.%s\n", test.test_suite_name(), test.name());
  }
  void OnTestPartResult(const testing::TestPartResult& part) override {
    if (!part.failed()) return;
    std::printf("[rank %d] %s:%d: %s\n", rank_, part.file_name() == nullptr ? "?" : part.file_name(),
                part.line_number(), part.summary());
    std::fflush(stdout);
    if (part.fatally_failed()) session_.abort(1);
  }

 private:
  MpiSession& session_;
  int rank_;
};

class RankTest : public testing::Test {
 public:
  RankTest(std::function<void(Communicator&)> body, Communicator& world) : body_(std::move(body)), world_(world) {}
  void TestBody() override { body_(world_); }

 private:
  std::function<void(Communicator&)> body_;
  Communicator& world_;
};

void add_test(const char* suite, const std::string& name, std::function<void(Communicator&)> body,
              Communicator& world) {
  testing::RegisterTest(suite, name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                        [body = std::move(body), &world]() -> testing::Test* { return new RankTest(body, world); });
}

void expect_owned(const std::map<std::string, std::vector<float>>& mine,
                  const std::map<std::string, std::vector<float>>& plain, std::int64_t& owned) {
  for (const auto& [name, values] : mine) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) continue;
      ASSERT_EQ(values[i], plain.at(name)[i]) << name << " " << i;
      ++owned;
    }
  }
}

/// The weights of a fake training over FlatGroup, against plain arrays, bit for bit.
void train_and_compare(Communicator& world, int stage, Dtype compute) {
  const FakeRun run{.groups = uneven_groups(), .stage = stage, .compute = compute, .microbatches = 12};
  const auto plain = train_plainly(run);
  const auto result = train_rank(run, world);
  EXPECT_EQ(result.norms, plain.norms);
  std::int64_t owned = 0;
  expect_owned(result.weights, plain.weights, owned);
  const Tensor count(&owned, Dtype::i64, {1});
  world.sum(count).wait();
  EXPECT_EQ(owned, 1031 + 1 + 257 + 1021 + 1 + 2 + 256 + 2048) << "every element has one owner";
}

void add_tests(Communicator& world) {
  for (const Case& one : conformance()) add_test("Conformance", one.name, one.body, world);
  for (int stage = 0; stage <= 3; ++stage) {
    for (const Dtype compute : {Dtype::f32, Dtype::bf16}) {
      const std::string name = "Stage" + std::to_string(stage) + std::string(name_of(compute));
      add_test(
          "FlatGroup", name, [=](Communicator& ranks) { train_and_compare(ranks, stage, compute); }, world);
    }
  }
}

int run_all(MpiSession& session) {
  Communicator& world = session.world();
  if (world.size() != HEARTH_RANKS) {
    std::printf("this test wants %d ranks and was started on %d\n", HEARTH_RANKS, world.size());
    return 1;
  }
  add_tests(world);
  testing::GTEST_FLAG(catch_exceptions) = false;
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new RankPrinter(session, world.rank()));
  std::int64_t failed = RUN_ALL_TESTS();
  world.sum(Tensor(&failed, Dtype::i64, {1})).wait();
  if (world.rank() == 0) std::printf("%s on %d ranks\n", failed == 0 ? "passed" : "FAILED", world.size());
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace hearth::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  hearth::MpiSession session;
  try {
    return hearth::test::run_all(session);
  } catch (const std::exception& error) {
    std::printf("[rank %d] %s\n", session.world().rank(), error.what());
    std::fflush(stdout);
    session.abort(1);
  }
}
