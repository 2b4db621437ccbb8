// Ranks as data knows of them.
#include "trainer/together_of.h"

#include <gtest/gtest.h>

#include <numeric>

#include "parallel/thread_world.h"
#include "trainer/run_start.h"

namespace hearth {
namespace {

TEST(TogetherOf, GathersTextsOfAnyLength) {
  for (const int ranks : {1, 2, 3, 5}) {
    ThreadWorld(ranks).run([&](Communicator& world) {
      const Together together = together_of(world);
      EXPECT_EQ(together.part, world.rank());
      EXPECT_EQ(together.parts, ranks);
      EXPECT_EQ(together.same_files, std::vector<int>{world.rank()});
      EXPECT_EQ(together.sum(world.rank() + 1), ranks * (ranks + 1) / 2);
      EXPECT_EQ(together.from_first(world.rank() + 7), 7);
      EXPECT_EQ(together.gather(""), std::vector<std::string>(static_cast<std::size_t>(ranks)));
      const auto text_of = [](int rank) {
        return rank == 1 ? std::string()
                         : std::string(static_cast<std::size_t>(1000 * rank + 1), static_cast<char>(rank));
      };
      const std::vector<std::string> all = together.gather(text_of(world.rank()));
      ASSERT_EQ(all.size(), static_cast<std::size_t>(ranks));
      for (int rank = 0; rank < ranks; ++rank) EXPECT_EQ(all[static_cast<std::size_t>(rank)], text_of(rank));
    });
  }
}

TEST(TogetherOf, RanksOfOneKernelShareTheirFiles) {
  ThreadWorld(3).run([](Communicator& world) {
    EXPECT_EQ(together_on_files_of(world).same_files, (std::vector<int>{0, 1, 2}));
  });
}

TEST(Agree, TheSameIsAcceptedAndAnythingElseNamedOnEveryRank) {
  ThreadWorld(3).run([](Communicator& world) {
    EXPECT_NO_THROW(agree(world, "hearth 1.2", "run different versions"));
    try {
      agree(world, world.rank() == 2 ? "hearth 1.3" : "hearth 1.2", "run different versions");
      ADD_FAILURE() << "not refused on rank " << world.rank();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Kind::usage);
      EXPECT_EQ(error.text(), "rank 0 and rank 2 run different versions");
      EXPECT_EQ(error.speaker(), 0);
    }
  });
}

}  // namespace
}  // namespace hearth
