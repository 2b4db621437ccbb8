// A save that dies or fails at any point leaves the old checkpoint or the new one, whole.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "checkpoint/faults.h"
#include "checkpoint/mesh_scene.h"
#include "checkpoint/scene.h"
#include "parallel/thread_world.h"
#include "support/shared.h"

namespace hearth::test {
namespace {

using faults::Plan;
using faults::What;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Runs `work` in a copy of this process. Says how it ended: its exit code, or -1 when it was killed.
int in_a_copy(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class Crash : public testing::Test {
 protected:
  Crash() : self_(make_self_communicator()) { EXPECT_TRUE(old_.save(*self_, folder(), 10).committed); }

  const Path& folder() const { return folder_.path(); }

  /// The loader finds step-10 or step-20 and in it exactly what was saved. Returns which.
  std::int64_t check_one_is_whole(const std::string& place) {
    std::vector<std::string> complaints;
    const auto newest = newest_verified(folder(), complaints);
    if (!newest) {
      ADD_FAILURE() << place << ": no checkpoint is left";
      return 0;
    }
    const CheckpointReader reader(*newest);
    const std::int64_t step = reader.state().step;
    EXPECT_TRUE((step == 10 ? old_ : new_).is_in(reader, step)) << place;
    for (const Path& path : checkpoints(folder())) EXPECT_NO_THROW(CheckpointReader{path}) << place << ": a mixture";
    return step;
  }

  void remove_the_new() {
    for (const auto& entry : std::filesystem::directory_iterator(folder())) {
      if (entry.path().filename() != "step-10") std::filesystem::remove_all(entry.path());
    }
  }

  Scene old_{100};
  Scene new_{200};
  Folder folder_;
  std::unique_ptr<Communicator> self_;
};

TEST_F(Crash, killed_at_every_point_of_the_protocol) {
  const std::vector<std::string> points = {"prepared",      "part begun",      "part written",  "part synced",
                                           "collected",     "carried written", "index written", "manifest written",
                                           "folder synced", "renamed",         "parent synced", "LATEST written"};
  std::vector<std::string> reached;
  SaveOptions watch;
  watch.at_point = [&](std::string_view point) { reached.emplace_back(point); };
  ASSERT_TRUE(new_.save(*self_, folder(), 20, watch).committed);
  EXPECT_EQ(reached, points) << "a point without a kill";
  bool committed = false;
  for (const std::string& point : points) {
    remove_the_new();
    SaveOptions options;
    options.at_point = [&](std::string_view here) {
      if (here == point) ::raise(SIGKILL);
    };
    EXPECT_EQ(in_a_copy([&] { new_.save(*self_, folder(), 20, options); }), -1) << point;
    committed = committed || point == "renamed";
    EXPECT_EQ(check_one_is_whole(point), committed ? 20 : 10) << point;
    ASSERT_TRUE(new_.save(*self_, folder(), 20).committed) << "after a kill at " << point;
    EXPECT_THAT(leftovers(folder()), IsEmpty());
  }
}

TEST_F(Crash, killed_at_every_call_of_the_system) {
  int kills = 0;
  for (int k = 0;; ++k) {
    remove_the_new();
    const int ended = in_a_copy([&] {
      faults::arm({What::kill, {}, k});
      new_.save(*self_, folder(), 20);
      faults::disarm();
    });
    const std::string place = "call " + std::to_string(k);
    const std::int64_t step = check_one_is_whole(place);
    if (ended == 0) {
      EXPECT_EQ(step, 20);
      break;
    }
    ASSERT_EQ(ended, -1) << place;
    ++kills;
  }
  EXPECT_GT(kills, 60) << "the calls of a save were not seen";
}

TEST_F(Crash, killed_at_every_call_while_it_replaces_and_prunes) {
  SaveOptions options;
  options.limit = 2;
  const Folder prepared;  // saved once, copied for each kill
  for (const std::int64_t step : {8, 9, 20}) EXPECT_TRUE(old_.save(*self_, prepared.path(), step).committed);
  const auto prepare = [&] {
    std::filesystem::remove_all(folder());
    std::filesystem::copy(prepared.path(), folder(), std::filesystem::copy_options::recursive);
  };
  prepare();
  faults::arm({What::none, {}, 0});
  EXPECT_TRUE(new_.save(*self_, folder(), 20, options).committed);
  const int calls = faults::disarm();
  // The calls up to the rename are those of the test before; here come the exchange, LATEST and pruning.
  for (int k = calls / 2; k < calls; k += 3) {
    prepare();
    ASSERT_EQ(in_a_copy([&] {
                faults::arm({What::kill, {}, k});
                new_.save(*self_, folder(), 20, options);
              }),
              -1)
        << k;
    std::vector<std::string> complaints;
    const auto newest = newest_verified(folder(), complaints);
    ASSERT_EQ(newest, folder() / "step-20") << k;
    const CheckpointReader reader(*newest);
    EXPECT_TRUE(old_.is_in(reader, 20) || new_.is_in(reader, 20)) << k;
    for (const Path& path : checkpoints(folder())) EXPECT_NO_THROW(CheckpointReader{path}) << "call " << k;
  }
}

// A kill does not lose what was not synced; a power cut does. So the order itself is looked at.
TEST_F(Crash, everything_is_synced_before_the_rename_and_nothing_removed_before_the_parent_is) {
  EXPECT_TRUE(old_.save(*self_, folder(), 9).committed);
  SaveOptions options;
  options.limit = 2;
  faults::arm({What::none, {}, 0});
  ASSERT_TRUE(new_.save(*self_, folder(), 20, options).committed);
  faults::disarm();
  const std::vector<std::string> calls = faults::seen();
  const auto is_commit = [&](const std::string& call) {
    return call.starts_with("rename ") && call.ends_with("/step-20");
  };
  const auto commit = std::find_if(calls.begin(), calls.end(), is_commit);
  ASSERT_NE(commit, calls.end());
  std::string hidden = commit->substr(std::string("rename ").size());
  hidden.resize(hidden.find(' '));
  const auto synced = [&](const std::string& path) { return std::find(calls.begin(), commit, "fsync " + path); };
  const auto folder_sync =
      std::find(std::find_if(calls.begin(), commit,
                             [](const std::string& call) {
                               return call.find("MANIFEST.sha384") != std::string::npos && call.starts_with("rename ");
                             }),
                commit, "fsync " + hidden);
  EXPECT_NE(folder_sync, commit) << "the folder is not synced after its last file got its name";
  for (const Path& path : files_of(folder() / "step-20")) {
    const std::string name = path.filename().string();
    const bool by_rename = name.starts_with("MANIFEST");  // synced under a temporary name
    const auto found =
        by_rename
            ? std::find_if(calls.begin(), commit,
                           [&](const std::string& call) { return call.starts_with("fsync " + hidden + "/." + name); })
            : synced(hidden + "/" + name);
    EXPECT_NE(found, commit) << name << " is not synced before the rename";
  }
  EXPECT_EQ(*(commit + 1), "fsync " + folder().string());
  for (auto call = calls.begin(); call != commit + 2; ++call) {
    EXPECT_FALSE(call->starts_with("unlink ")) << *call << " before the commit is on disk";
  }
  EXPECT_TRUE(std::any_of(commit, calls.end(), [](const std::string& call) { return call.starts_with("unlink "); }))
      << "step-9 is pruned";
}

TEST_F(Crash, killed_while_two_ranks_write) {
  for (int k = 3; k < 100; k += 7) {
    remove_the_new();
    in_a_copy([&] {
      faults::arm({What::kill, {}, k});
      new_.save_from(2, folder(), 20);
    });
    check_one_is_whole("call " + std::to_string(k));
  }
}

/// Lets the k-th call of a kind fail, for every k, until a save goes through untouched.
class Failing : public Crash {
 protected:
  void every_call(const std::string& call, int error, bool later_too) {
    int hits = 0;
    for (int k = 0;; ++k) {
      remove_the_new();
      faults::arm({What::fail, {call}, k, later_too, error});
      const SaveResult result = new_.save(*self_, folder(), 20);
      const int calls = faults::disarm();
      const std::string place = call + " " + std::to_string(k);
      const std::int64_t step = check_one_is_whole(place);
      EXPECT_EQ(step, result.committed ? 20 : 10) << place;
      EXPECT_THAT(leftovers(folder()), IsEmpty()) << place;
      if (calls <= k) {
        EXPECT_TRUE(result.committed) << result.text;
        break;
      }
      ++hits;
      // Only LATEST, the hint, may fail without failing the save; it says so.
      if (result.committed) {
        EXPECT_THAT(result.notes, ElementsAre(HasSubstr("LATEST"))) << place;
      } else {
        EXPECT_EQ(result.kind, Kind::storage) << place << ": " << result.text;
        EXPECT_THAT(result.text, HasSubstr(folder().string())) << place;
      }
    }
    EXPECT_GT(hits, 3);
    ASSERT_TRUE(new_.save(*self_, folder(), 20).committed) << "space is there again";
  }
};

TEST_F(Failing, disk_full_at_every_write) {
  every_call("write", ENOSPC, true);
}
TEST_F(Failing, io_error_at_every_write) {
  every_call("write", EIO, false);
}
TEST_F(Failing, io_error_at_every_sync) {
  every_call("fsync", EIO, false);
}
TEST_F(Failing, io_error_at_every_rename) {
  every_call("rename", EIO, false);
}

TEST_F(Failing, disk_full_while_two_ranks_write_rectangles) {
  const MeshScene scene(300);
  const MeshSize mesh{2, 1};
  int failed = 0;
  for (int k = 0;; k += 23) {
    remove_the_new();
    faults::arm({What::fail, {"write"}, k, true, ENOSPC});
    const SaveResult result = scene.save_from(mesh, folder(), 20, 0);
    const int calls = faults::disarm();
    EXPECT_THAT(leftovers(folder()), IsEmpty()) << k;
    if (calls <= k) {
      ASSERT_TRUE(result.committed) << result.text;
      EXPECT_TRUE(scene.is_read_by({3, 1}, 0, CheckpointReader(result.folder)));
      break;
    }
    EXPECT_TRUE(!result.committed || !result.notes.empty()) << k;
    if (result.committed) continue;  // LATEST alone
    EXPECT_EQ(result.kind, Kind::storage) << k;
    EXPECT_EQ(check_one_is_whole("write " + std::to_string(k)), 10);
    ++failed;
  }
  EXPECT_GT(failed, 10);
}

TEST_F(Failing, one_rank_that_fails_fails_all_and_none_waits) {
  for (const int broken : {0, 1, 2}) {
    for (const std::string point : {"part begun", "part written", "part synced"}) {
      std::vector<SaveResult> results(3);
      ThreadWorld(3).run([&](Communicator& world) {
        SaveOptions options;
        options.at_point = [&](std::string_view here) {
          if (here == point && world.rank() == broken) fail(Kind::storage, "no space left, says the test");
        };
        results[static_cast<std::size_t>(world.rank())] = new_.save(world, folder(), 20, options);
      });
      for (const SaveResult& result : results) {
        EXPECT_FALSE(result.committed);
        EXPECT_EQ(result.kind, Kind::storage);
        EXPECT_EQ(result.text, "rank " + std::to_string(broken) + ": no space left, says the test");
      }
      EXPECT_EQ(check_one_is_whole(point), 10);
      EXPECT_THAT(leftovers(folder()), IsEmpty());
    }
  }
}

TEST_F(Failing, a_limit_on_file_sizes_is_a_full_disk_and_the_process_ends_well) {
  for (const rlim_t bytes : {0U, 100U, 2000U, 5000U}) {
    const int ended = in_a_copy([&] {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{bytes, bytes};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      const SaveResult result = new_.save(*self_, folder(), 20);
      // exit, not _exit: HDF5 has its own end to clean up after a failure.
      std::exit(!result.committed && result.kind == Kind::storage ? 7 : 1);
    });
    EXPECT_EQ(ended, 7) << bytes;
    EXPECT_EQ(check_one_is_whole("limit"), 10);
    EXPECT_THAT(leftovers(folder()), IsEmpty());
  }
}

}  // namespace
}  // namespace hearth::test
