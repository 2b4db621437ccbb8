// The conformance suite on one rank alone and on ranks as threads, and what is particular to threads.
#include "parallel/communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "conformance.h"
#include "parallel/thread_world.h"

namespace hearth {
namespace {

class Conformance : public testing::TestWithParam<test::Case> {};

TEST_P(Conformance, Self) {
  const auto self = make_self_communicator();
  GetParam().body(*self);
}

TEST_P(Conformance, Threads) {
  for (int size = 1; size <= 4; ++size) {
    SCOPED_TRACE(size);
    ThreadWorld(size).run(GetParam().body);
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Conformance, testing::ValuesIn(test::conformance().begin(), test::conformance().end()),
                         [](const auto& one) { return std::string(one.param.name); });

Tensor view(std::vector<float>& values) {
  return Tensor(values.data(), Dtype::f32, {static_cast<std::int64_t>(values.size())});
}

std::string failure_of(int size, const std::function<void(Communicator&)>& body) {
  try {
    ThreadWorld(size).run(body);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(ThreadWorld, AFailureReleasesEveryRankAndIsTheOneThrown) {
  const auto late = [](Communicator& ranks) {
    std::vector<float> values(1000, 1);
    ranks.sum(view(values)).wait();
    if (ranks.rank() == 1) fail(Kind::data, "rank one gave up");
    ranks.sum(view(values)).wait();
  };
  EXPECT_EQ(failure_of(4, late), "rank one gave up");
  const auto pending = [](Communicator& ranks) {
    std::vector<float> values(1000, 1);
    const Ticket begun = ranks.sum(view(values));
    if (ranks.rank() == 0) fail(Kind::data, "gave up in the middle");
    std::vector<float> never(10);
    ranks.receive(view(never), 0).wait();
  };
  EXPECT_EQ(failure_of(3, pending), "gave up in the middle");
  const auto foreign = [](Communicator& ranks) {
    if (ranks.rank() == 2) throw std::runtime_error("from elsewhere");
    ranks.barrier();
  };
  EXPECT_EQ(failure_of(3, foreign), "from elsewhere");
}

TEST(ThreadWorld, RanksThatDisagreeAreTold) {
  const auto operations = [](Communicator& ranks) {
    std::vector<float> values(8, 1);
    if (ranks.rank() == 0) ranks.barrier();
    ranks.sum(view(values)).wait();
  };
  EXPECT_THAT(failure_of(2, operations), testing::HasSubstr("rank 0 called barrier where rank 1 called sum"));
  const auto sizes = [](Communicator& ranks) {
    std::vector<float> values(ranks.rank() == 0 ? 8 : 9, 1);
    ranks.sum(view(values)).wait();
  };
  EXPECT_THAT(failure_of(2, sizes), testing::HasSubstr("32 bytes"));
}

TEST(ThreadWorld, RunsAgain) {
  ThreadWorld world(3);
  for (int i = 0; i < 3; ++i) {
    world.run([](Communicator& ranks) {
      std::vector<float> values(1, 1);
      ranks.sum(view(values)).wait();
      EXPECT_EQ(values[0], 3);
    });
  }
}

TEST(Self, AMessageThatWasNeverSentIsAnError) {
  const auto self = make_self_communicator();
  std::vector<float> values(4);
  EXPECT_THROW(self->receive(view(values), 0).wait(), Error);
}

}  // namespace
}  // namespace hearth
