// Processes as ranks give the bits of one rank alone.
#include <gtest/gtest.h>
#include <unistd.h>

#include "job/job.h"
#include "job/mpi_world.h"

namespace hearth {
namespace {

/// A folder that all ranks know: named by the first one.
class SharedFolder {
 public:
  explicit SharedFolder(Communicator& world) : world_(world) {
    std::int64_t pid = world.rank() == 0 ? ::getpid() : 0;
    world.sum(Tensor(&pid, Dtype::i64, {1})).wait();
    path_ = std::filesystem::temp_directory_path() / fmt::format("hearth_job_{}", pid);
    if (world.rank() == 0) {
      make_folder(path_);
      test::write_rows(path_);
    }
    world.barrier();
  }
  ~SharedFolder() {
    world_.barrier();
    std::error_code ignored;
    if (world_.rank() == 0) std::filesystem::remove_all(path_, ignored);
  }
  const Path& path() const { return path_; }

 private:
  Communicator& world_;
  Path path_;
};

TEST(Mpi, EqualsOneRank) {
  Communicator& world = *test::mpi_world;
  const SharedFolder folder(world);
  for (const std::string dtype : {"f32", "bf16"}) {
    const int microbatches = 2 * world.size();
    test::JobOptions one = {.accumulation = microbatches, .dtype = dtype, .steps = 12};
    if (world.rank() == 0) test::run_on_threads(1, folder.path(), "one-" + dtype, one);
    world.barrier();
    for (const int stage : {0, 1, 2, 3}) {
      const test::JobOptions many = {
          .zero_stage = stage, .accumulation = 2, .recompute = stage % 2, .dtype = dtype, .steps = 12};
      const std::string name = fmt::format("many-{}-{}", dtype, stage);
      test::run_job(world, folder.path(), name, many);
      if (world.rank() == 0) {
        EXPECT_TRUE(test::result_of(folder.path(), name) == test::result_of(folder.path(), "one-" + dtype)) << name;
      }
      world.barrier();
    }
  }
}

}  // namespace
}  // namespace hearth
