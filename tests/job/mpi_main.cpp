// Ranks are processes here; the session lives as long as main, and a failure on any rank fails the job.
#include <gtest/gtest.h>

#include "job/mpi_world.h"
#include "support/leaks.h"

namespace hearth::test {
Communicator* mpi_world = nullptr;
}

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  hearth::MpiSession session;
  hearth::test::mpi_world = &session.world();
  std::int64_t failed = RUN_ALL_TESTS() == 0 ? 0 : 1;
  session.world().sum(hearth::Tensor(&failed, hearth::Dtype::i64, {1})).wait();
  hearth::test::look_for_leaks();
  return failed == 0 ? 0 : 1;
}
