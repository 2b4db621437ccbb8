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

TEST(Mesh, OtherAxesAndWrongProductsAreRefusedByName) {
  ThreadWorld(2).run([](Communicator& world) {
    EXPECT_THAT(refusal(world, {.tensor = 2}), testing::HasSubstr("tensor_parallel_size: 2"));
    EXPECT_THAT(refusal(world, {.context = 2}), testing::HasSubstr("context_parallel_size: 2"));
    EXPECT_THAT(refusal(world, {.pipe = 2}), testing::HasSubstr("pipeline_parallel_size: 2"));
    EXPECT_THAT(refusal(world, {.data = 3}), testing::HasSubstr("2 ranks"));
    EXPECT_THAT(refusal(world, {.data = 0}), testing::HasSubstr("2 ranks"));
  });
}

}  // namespace
}  // namespace hearth
