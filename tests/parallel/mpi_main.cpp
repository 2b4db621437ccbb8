// The main of tests on MPI ranks. It knows that it is one of many: failures carry their rank, a failure anywhere fails
// all, and a number of ranks other than HEARTH_RANKS is a failure.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include "conformance.h"
#include "fake_training.h"
#include "parallel/mpi.h"
#include "relocated.h"
#include "support/leaks.h"

namespace {
int messages_sent = 0;  // over MPI, by this rank
}

// MPI lets a program stand between it and the library.
extern "C" int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  ++messages_sent;
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}

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

/// The ways from rank to rank: by default, all of whose large tensors are in memory of their own and go by messages; by
/// messages alone; through memory that the ranks of a host share; and mixed, where some ranks share theirs.
struct Ways {
  explicit Ways(MpiSession& session)
      : messages(session.messages()),
        shared_memory(session.make_memory()),
        own_memory(std::make_shared<HostMemory>()),
        shared(in_memory(session.world(), *shared_memory)),
        mixed(in_memory(session.world(), session.world().rank() % 2 == 0 ? *shared_memory : *own_memory)) {}

  std::unique_ptr<Communicator> messages;
  std::shared_ptr<Memory> shared_memory;
  std::shared_ptr<Memory> own_memory;
  std::unique_ptr<Communicator> shared;
  std::unique_ptr<Communicator> mixed;
};

/// Ranks of one host do not fall back to messages unseen.
void nothing_is_sent(Communicator& shared) {
  const auto n = static_cast<std::int64_t>(shared.size());
  std::vector<float> all(static_cast<std::size_t>(n) * 300000, 1);
  const Tensor whole(all.data(), Dtype::f32, {n * 300000});
  const Tensor part = whole.row_slice(shared.rank() * 300000, 300000);
  std::vector<float> other(all);
  const Tensor taken(other.data(), Dtype::f32, {n * 300000});
  const std::vector<std::int64_t> rows(static_cast<std::size_t>(n), 300000);
  const int before = messages_sent;
  shared.sum(whole).wait();
  shared.gather(part, whole).wait();
  shared.reduce_scatter(whole, taken.row_slice(0, 300000), Onto::held).wait();
  shared.exchange(whole, rows, taken, rows).wait();
  if (n > 1) {
    Ticket sent = shared.send(part, (shared.rank() + 1) % shared.size());
    shared.receive(taken.row_slice(0, 300000), (shared.rank() + shared.size() - 1) % shared.size()).wait();
  }
  shared.barrier();
  EXPECT_EQ(messages_sent, before);
}

/// An operation that an exception left in the middle is not finished by waiting for the next one.
void what_follows_an_operation_given_up_is_an_error(Communicator& world) {
  if (world.size() == 1) return;
  const auto ranks = world.split(0, world.rank());
  std::vector<double> values(3, 1);
  const Tensor x(values.data(), Dtype::f64, {3});
  const int next = (ranks->rank() + 1) % ranks->size();
  try {
    std::vector<Ticket> begun;
    if (world.rank() == 0) begun.push_back(ranks->sum(x));
    begun.push_back(ranks->receive(x, next));
    throw std::runtime_error("in the middle");
  } catch (const std::runtime_error&) {
  }
  EXPECT_THROW(ranks->receive(x, next).wait(), Error);
  if (world.rank() == 0) {
    EXPECT_THROW(ranks->sum(x).wait(), Error);
  }
  world.sum(x).wait();  // others are not touched
  EXPECT_EQ(values[2], world.size());
}

/// Which operation, where they differ; the communicator is lost.
void ranks_that_disagree_are_told(Communicator& world) {
  if (world.size() == 1) return;
  const auto ranks = world.split(0, world.rank());
  std::vector<float> values(4, 1);
  std::vector<float> all(4 * static_cast<std::size_t>(world.size()));
  const Tensor x(values.data(), Dtype::f32, {4});
  try {
    if (world.rank() == 1) {
      ranks->gather(x, Tensor(all.data(), Dtype::f32, {static_cast<std::int64_t>(all.size())})).wait();
    } else {
      ranks->sum(x).wait();
    }
    ADD_FAILURE() << "a sum met a gather";
  } catch (const Error& error) {
    EXPECT_NE(error.text().find("gather of 16 bytes"), std::string::npos) << error.text();
    EXPECT_NE(error.text().find("sum of 16 bytes"), std::string::npos) << error.text();
  }
}

/// Memory comes back to be used again, whatever the order; what lies in it is only there while it is taken.
void shared_memory_is_used_again(Memory& memory) {
  for (int round = 0; round < 3; ++round) {
    std::vector<Buffer> buffers;
    for (std::size_t i = 0; i < 40; ++i) {
      buffers.emplace_back(memory, (i * 37 % 11 + 1) << 16);
      std::memset(buffers.back().data(), static_cast<int>(i), buffers.back().bytes());
    }
    for (std::size_t i = 0; i < 40; ++i) {
      const auto* bytes = static_cast<const unsigned char*>(buffers[i].data());
      ASSERT_EQ(bytes[0], i);
      ASSERT_EQ(bytes[buffers[i].bytes() - 1], i);
    }
    for (std::size_t i = 0; i < 40; i += 3) buffers[i * 7 % 40] = Buffer();
    for (std::size_t i = 0; i < 10; ++i) {
      Buffer more(memory, std::size_t{3} << 20);
      std::memset(more.data(), 0xff, more.bytes());
    }
  }
  EXPECT_EQ(memory.now(), 0U);
}

void add_flat_group_tests(Communicator& world) {
  for (int stage = 0; stage <= 3; ++stage) {
    for (const Dtype compute : {Dtype::f32, Dtype::bf16}) {
      const std::string name = "Stage" + std::to_string(stage) + std::string(name_of(compute));
      add_test(
          "FlatGroup", name, [=](Communicator& ranks) { train_and_compare(ranks, stage, compute); }, world);
    }
  }
}

void add_tests(MpiSession& session, Ways& ways, bool shares) {
  Communicator& world = session.world();
  for (const Case& one : conformance()) {
    add_test("Default", one.name, one.body, world);
    add_test("Messages", one.name, one.body, *ways.messages);
    add_test("Shared", one.name, one.body, *ways.shared);
    add_test("Mixed", one.name, one.body, *ways.mixed);
  }
  if (shares) {
    add_test("Shared", "NothingIsSent", nothing_is_sent, *ways.shared);
    add_test("Shared", "GivenUp", what_follows_an_operation_given_up_is_an_error, world);
    add_test("Shared", "Disagreement", ranks_that_disagree_are_told, world);
  }
  Memory& memory = *ways.shared_memory;
  add_test(
      "Shared", "MemoryIsUsedAgain", [&memory](Communicator&) { shared_memory_is_used_again(memory); }, world);
  if (world.size() <= 4) add_flat_group_tests(world);
}

/// `shares`: the ranks are expected to share memory. (A limit on the size of files is one reason why they could not.)
int run_all(MpiSession& session, bool shares) {
  Communicator& world = session.world();
  if (world.size() != HEARTH_RANKS) {
    std::printf("this test wants %d ranks and was started on %d\n", HEARTH_RANKS, world.size());
    return 1;
  }
  if (session.why_messages().empty() != shares) {
    std::printf("ranks were expected to %s: %s\n", shares ? "share memory" : "send messages",
                session.why_messages().c_str());
    return 1;
  }
  Ways ways(session);
  add_tests(session, ways, shares);
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
    const int result = hearth::test::run_all(session, argc < 2 || std::string(argv[1]) != "without-sharing");
    hearth::test::look_for_leaks();
    return result;
  } catch (const std::exception& error) {
    std::printf("[rank %d] %s\n", session.world().rank(), error.what());
    std::fflush(stdout);
    session.abort(1);
  }
}
