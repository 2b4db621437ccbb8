// Whose an output folder is: one job at a time, one run for ever.
#include "trainer/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>

#include "checkpoint/scene.h"
#include "support/shared.h"
#include "trainer/run_lock.h"

namespace hearth::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

void put(const Path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// A copy of this process that runs `start`, and then waits to be killed.
class Other {
 public:
  explicit Other(const std::function<void()>& start) {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe(pipe.data()), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      start();
      const bool told = ::write(pipe[1], "x", 1) == 1;
      while (told) ::pause();
      ::_exit(1);
    }
    char ready = 0;
    EXPECT_EQ(::read(pipe[0], &ready, 1), 1);
    ::close(pipe[0]);
    ::close(pipe[1]);
  }
  ~Other() { kill(); }
  Other(const Other&) = delete;
  Other& operator=(const Other&) = delete;
  void kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

TEST(RunLock, a_second_job_is_refused_and_told_whose_it_is) {
  const Folder folder;
  std::unique_ptr<RunLock> lock;
  Other other([&] { lock = std::make_unique<RunLock>(folder.path()); });
  std::string text;
  EXPECT_EQ(kind_of([&] { RunLock{folder.path()}; }, &text), Kind::machine);
  EXPECT_THAT(text, HasSubstr("process " + std::to_string(other.pid()) + " on host " + LockOwner::self().host));
  EXPECT_THAT(text, HasSubstr(folder.path().string()));
}

TEST(RunLock, a_killed_job_gives_way_and_is_mentioned) {
  const Folder folder;
  std::unique_ptr<RunLock> lock;
  Other other([&] { lock = std::make_unique<RunLock>(folder.path()); });
  const std::string pid = std::to_string(other.pid());
  other.kill();
  EXPECT_THAT(RunLock(folder.path()).note(), HasSubstr("process " + pid));
  EXPECT_THAT(RunLock(folder.path()).note(), IsEmpty()) << "given back by the one before";
}

TEST(RunLock, holds_within_one_process_too) {
  const Folder folder;
  const RunLock lock(folder.path());
  EXPECT_EQ(kind_of([&] { RunLock{folder.path()}; }), Kind::machine);
}

TEST(RunLock, where_the_kernels_lock_does_not_reach_a_living_owner_is_believed) {
  const Folder folder;
  const auto claim = [&](const LockOwner& owner) {
    put(folder.path() / "run.lock", fmt::format(R"({{"host":"{}","boot":"{}","pid":{},"started":{}}})", owner.host,
                                                owner.boot, owner.pid, owner.started));
  };
  const LockOwner self = LockOwner::self();
  EXPECT_TRUE(self.lives_here());
  claim(self);  // nobody holds the kernel's lock
  EXPECT_EQ(kind_of([&] { RunLock{folder.path()}; }), Kind::machine);
  LockOwner reused = self;  // the same process id, another process
  reused.started += 1;
  claim(reused);
  EXPECT_THAT(RunLock(folder.path()).note(), HasSubstr("was broken"));
  LockOwner earlier = self;
  earlier.boot = "00000000-0000-0000-0000-000000000000";
  claim(earlier);
  EXPECT_THAT(RunLock(folder.path()).note(), HasSubstr("was broken"));
  put(folder.path() / "run.lock", "{\"host\":\"h");
  EXPECT_THAT(RunLock(folder.path()).note(), HasSubstr("torn"));
}

TEST(RunFolder, a_run_is_recognised) {
  const Folder folder;
  const Path output = folder.path() / "a" / "b";
  EXPECT_EQ(make_run_folder(output), std::nullopt);
  EXPECT_EQ(make_run_folder(output), std::nullopt) << "still empty";
  {
    const RunLock lock(output);
    write_run_record(output, {"seed: 1\n", "hearth test", ""});
    put(output / "trainer_log.jsonl", "");
  }
  const auto record = make_run_folder(output);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->recipe, "seed: 1\n");
  EXPECT_EQ(record->program, "hearth test");
  EXPECT_EQ(record->created.size(), 20U);
  write_run_record(output, {"seed: 1\nmax_steps: 5\n", "hearth test 2", record->created});
  EXPECT_EQ(run_record(output)->created, record->created);
}

TEST(RunFolder, a_start_that_was_cut_short_is_still_fresh) {
  const Folder folder;
  { const RunLock lock(folder.path()); }
  put(folder.path() / ".run.json.123.tmp", "{");
  EXPECT_EQ(make_run_folder(folder.path()), std::nullopt);
}

TEST(RunFolder, foreign_content_is_refused_by_name) {
  const Folder folder;
  put(folder.path() / "thesis.tex", "");
  std::string text;
  EXPECT_EQ(kind_of([&] { make_run_folder(folder.path()); }, &text), Kind::usage);
  EXPECT_THAT(text, HasSubstr(folder.path().string() + " holds thesis.tex and no run of hearth"));
  put(folder.path() / "z", "");
  EXPECT_EQ(kind_of([&] { make_run_folder(folder.path()); }, &text), Kind::usage);
  EXPECT_THAT(text, HasSubstr("thesis.tex and 1 more"));
  EXPECT_EQ(kind_of([&] { make_run_folder(folder.path() / "z"); }, &text), Kind::usage);
  EXPECT_THAT(text, HasSubstr("is a file"));
}

TEST(RunFolder, a_broken_record_is_never_a_fresh_start) {
  const Folder folder;
  write_run_record(folder.path(), {"seed: 1\n", "hearth test", ""});
  const std::string whole = read_text(folder.path() / "run.json");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    text.replace(text.find(from), from.size(), to);
    put(folder.path() / "run.json", text);
    return kind_of([&] { make_run_folder(folder.path()); });
  };
  EXPECT_EQ(with("seed: 1", "seed: 2"), Kind::integrity);
  EXPECT_EQ(with("\"version\": 1", "\"version\": 9"), Kind::data);
  EXPECT_EQ(with("hearth run", "other run"), Kind::integrity);
  EXPECT_EQ(with("{", ""), Kind::integrity);
  EXPECT_EQ(with(whole, ""), Kind::integrity);
}

TEST(RunFolder, no_permission_to_write) {
  const Folder folder;
  ::chmod(folder.path().c_str(), 0555);
  const auto refused = [&] {
    return kind_of([&] { make_run_folder(folder.path()); }) == Kind::machine &&
           kind_of([&] { make_run_folder(folder.path() / "new"); }) == Kind::machine &&
           kind_of([&] { RunLock{folder.path()}; }) == Kind::machine;
  };
  // Root may write anywhere, so the copy becomes nobody.
  const pid_t child = ::fork();
  if (child == 0) {
    const bool nobody = ::geteuid() != 0 || ::setuid(65534) == 0;
    ::_exit(nobody && refused() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  ::chmod(folder.path().c_str(), 0755);
}

}  // namespace
}  // namespace hearth::test
