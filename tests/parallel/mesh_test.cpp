#include "parallel/mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/thread_world.h"

namespace hearth {
namespace {

std::string refusal(Communicator& world, const MeshShape& shape) {
  try {
    const Mesh mesh(world, shape);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::usage);
    return error.text();
  }
  return "accepted";
}

TEST(Mesh, OneRankIsAWorkingMesh) {
  const auto self = make_self_communicator();
  Mesh mesh(*self, {});
  for (const Axis axis : {Axis::pipe, Axis::data, Axis::context, Axis::tensor}) {
    EXPECT_EQ(mesh.along(axis).size(), 1);
    EXPECT_EQ(mesh.along(axis).rank(), 0);
  }
}

TEST(Mesh, TheDataAxisHasTheRanksInTheirOrder) {
  ThreadWorld(3).run([](Communicator& world) {
    Mesh mesh(world, {.data = 3});
    EXPECT_EQ(mesh.along(Axis::data).size(), 3);
    EXPECT_EQ(mesh.along(Axis::data).rank(), world.rank());
    EXPECT_EQ(mesh.along(Axis::tensor).size(), 1);
    std::int64_t rank = world.rank();
    mesh.along(Axis::data).sum(Tensor(&rank, Dtype::i64, {1})).wait();
    EXPECT_EQ(rank, 3);
  });
}

TEST(Mesh, WrongProductsAndShardsAreRefused) {
  ThreadWorld(2).run([](Communicator& world) {
    EXPECT_THAT(refusal(world, {.data = 3}), testing::HasSubstr("2 ranks"));
    EXPECT_THAT(refusal(world, {.data = 0}), testing::HasSubstr("2 ranks"));
    EXPECT_THAT(refusal(world, {.data = 2, .tensor = 2}), testing::HasSubstr("2 ranks"));
    EXPECT_THAT(refusal(world, {.data = 2, .shard = 3}), testing::HasSubstr("data_shard_size: 3"));
  });
}

/// The world's ranks that a communicator brings together, in its order.
std::vector<std::int64_t> members(Communicator& of, Communicator& world) {
  std::int64_t mine = world.rank();
  std::vector<std::int64_t> all(static_cast<std::size_t>(of.size()));
  of.gather(Tensor(&mine, Dtype::i64, {1}), Tensor(all.data(), Dtype::i64, {of.size()})).wait();
  return all;
}

TEST(Mesh, EveryAxisHasItsNeighbours) {
  ThreadWorld(16).run([](Communicator& world) {
    Mesh mesh(world, {.pipe = 2, .data = 2, .context = 2, .tensor = 2, .shard = 2});
    const std::int64_t r = world.rank();
    using Ranks = std::vector<std::int64_t>;
    EXPECT_EQ(members(mesh.along(Axis::tensor), world), (Ranks{r & ~1, r | 1}));
    EXPECT_EQ(members(mesh.along(Axis::context), world), (Ranks{r & ~2, r | 2}));
    EXPECT_EQ(members(mesh.along(Axis::data), world), (Ranks{r & ~4, r | 4}));
    EXPECT_EQ(members(mesh.along(Axis::pipe), world), (Ranks{r & ~8, r | 8}));
    EXPECT_EQ(members(mesh.sums(), world), (Ranks{r & ~6, (r & ~6) + 2, (r & ~6) + 4, r | 6}));
    EXPECT_EQ(members(mesh.shard(), world), (Ranks{r & ~2, r | 2}));
    EXPECT_EQ(members(mesh.replicas(), world), (Ranks{r & ~4, r | 4}));
    EXPECT_EQ(members(mesh.holders(1), world), (Ranks{r & ~1, r | 1}));
    EXPECT_EQ(members(mesh.holders(2), world), (Ranks{r}));
  });
}

TEST(Mesh, EdgesGoRoundThePipeline) {
  for (const int stages : {2, 3, 4}) {
    ThreadWorld(2 * stages).run([stages](Communicator& world) {
      Mesh mesh(world, {.pipe = stages, .tensor = 2});
      const std::int64_t stage = mesh.along(Axis::pipe).rank();
      const std::int64_t next = (stage + 1) % stages;
      const std::int64_t previous = (stage + stages - 1) % stages;
      std::int64_t activation = 10 + stage;
      std::int64_t gradient = 20 + stage;
      std::int64_t got_activation = 0;
      std::int64_t got_gradient = 0;
      const auto one = [](std::int64_t& value) { return Tensor(&value, Dtype::i64, {1}); };
      PipeEdges& edges = mesh.edges();
      Ticket in = edges.activations_in->receive(one(got_activation), 0);
      Ticket back = edges.gradients_in->receive(one(got_gradient), 1);
      Ticket out = edges.activations_out->send(one(activation), 1);
      Ticket out_back = edges.gradients_out->send(one(gradient), 0);
      for (Ticket* ticket : {&in, &back, &out, &out_back}) ticket->wait();
      EXPECT_EQ(got_activation, 10 + previous);
      EXPECT_EQ(got_gradient, 20 + next);
      EXPECT_EQ(edges.ends != nullptr, stage == 0 || stage == stages - 1);
      if (edges.ends) {
        EXPECT_EQ(edges.ends->rank(), stage == 0 ? 0 : 1);
      }
    });
  }
}

}  // namespace
}  // namespace hearth
