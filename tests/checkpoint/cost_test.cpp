// What a save and a load cost: bytes and memory of each rank, and nothing through one of them (failure D8).
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "checkpoint/scene.h"
#include "parallel/thread_world.h"
#include "support/shared.h"

namespace hearth::test {
namespace {

constexpr int ranks = 4;
constexpr std::int64_t height = 2048;
constexpr std::int64_t width = 8192;
constexpr std::int64_t columns = width / ranks;
constexpr std::int64_t pitch = columns + 16;          // a rank's matrix is wider than what it saves of it
constexpr std::int64_t share = height * columns * 4;  // bytes of one role of one rank: 16 MiB

/// The most memory that this process ever had, in bytes.
std::int64_t peak() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

float value(std::size_t role, std::int64_t index) {
  return static_cast<float>((index * 40503 + static_cast<std::int64_t>(role)) & 0xFFFFFF);
}

using Matrices = std::vector<std::vector<float>>;  // of one rank, by role

/// The columns that a rank has of the matrix.
Stretch place_of(int rank) {
  return {rank * columns, height, columns, width};
}

Matrices matrices(int rank) {
  Matrices list;
  for (std::size_t role = 0; role < roles.size(); ++role) {
    auto& matrix = list.emplace_back(static_cast<std::size_t>(height * pitch), -1.0F);
    for (std::int64_t i = 0; i < height; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        matrix[static_cast<std::size_t>(i * pitch + j)] = value(role, i * width + rank * columns + j);
      }
    }
  }
  return list;
}

std::uint64_t sent(const Communicator& world) {
  const Traffic& traffic = world.traffic();
  return traffic.sum.bytes + traffic.gather.bytes + traffic.reduce_scatter.bytes + traffic.exchange.bytes +
         traffic.point.bytes;
}

TEST(CheckpointCost, nothing_passes_through_one_rank) {
  std::vector<Matrices> all;
  all.reserve(ranks);
  for (int rank = 0; rank < ranks; ++rank) all.push_back(matrices(rank));
  const Folder folder;
  Scene(1).save_from(ranks, folder.path(), 1);  // HDF5 and the digests come into memory
  const std::int64_t before = peak();
  ThreadWorld(ranks).run([&](Communicator& world) {
    const auto view = [&](Role role) {
      auto& matrix = all[static_cast<std::size_t>(world.rank())][static_cast<std::size_t>(role)];
      return Tensor(matrix.data(), Dtype::f32, {height, pitch}).column_slice(0, columns);
    };
    const SavedPiece piece{"matrix",           {height, width},          place_of(world.rank()),
                           view(Role::weight), view(Role::first_moment), view(Role::second_moment)};
    const SaveResult saved =
        save_checkpoint(world, folder.path(), Scene(1).state(7), std::span<const SavedPiece>(&piece, 1), {}, {});
    EXPECT_TRUE(saved.committed) << saved.text;
    EXPECT_LT(sent(world), 16384U) << "ranks tell each other where their elements lie, not the elements";
  });
  EXPECT_LT(peak() - before, share) << "not even one role of one rank is in memory a second time";

  const Path step = folder.path() / "step-7";
  {
    const CheckpointReader reader(step);
    for (int rank = 0; rank < ranks; ++rank) {
      const std::int64_t bytes = reader.manifest().files.at(part_name(rank, ranks)).bytes;
      EXPECT_GE(bytes, 3 * share);
      EXPECT_LT(bytes, 3 * share + 65536) << "a rank writes its own elements";
    }
  }
  for (const char* name : {"MANIFEST.json", "checkpoint.h5"}) {
    EXPECT_LT(std::filesystem::file_size(step / name), 16384U) << name << " knows pieces, not rows";
  }

  for (Matrices& mine : all) {
    for (auto& matrix : mine) std::fill(matrix.begin(), matrix.end(), -1.0F);
  }
  const std::int64_t loading = peak();
  ThreadWorld(ranks).run([&](Communicator& world) {
    const CheckpointReader reader(step, Verify::nothing);
    for (std::size_t role = 0; role < roles.size(); ++role) {
      reader.read(roles[role], "matrix", place_of(world.rank()),
                  all[static_cast<std::size_t>(world.rank())][role].data(), pitch);
    }
    EXPECT_EQ(reader.reads().bytes, 3 * share) << "a rank reads its own elements";
    EXPECT_EQ(reader.reads().calls, 3 * 16) << "a mebibyte at a time";
  });
  EXPECT_LT(peak() - loading, share);
  for (int rank = 0; rank < ranks; ++rank) {
    EXPECT_TRUE(all[static_cast<std::size_t>(rank)] == matrices(rank)) << rank;
  }
}

}  // namespace
}  // namespace hearth::test
