// A run that is interrupted, killed or moved to other ranks ends in the bits of the run nobody disturbed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "job/resume.h"
#include "trainer/checkpoint.h"

namespace hearth {
namespace {

using test::JobOptions;
using test::Resume;
using test::run_on_threads;
using test::says;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// Native products of bf16 and widened ones differ in bits; a run keeps those that it began with, whatever others would
/// begin with, until its recipe says otherwise. (Of a processor without native ones only the first half is seen.)
TEST_F(Resume, KeepsItsWayOfMakingProducts) {
  std::vector<std::string> ways = {"widened"};
  if (has_native_bf16_products()) ways.emplace_back("native");
  std::vector<test::JobResult> whole;
  for (const std::string& way : ways) {
    JobOptions o = options();
    o.dtype = "bf16";
    o.steps = 6;
    o.more = {"bf16_products: " + way};
    run_on_threads(2, folder_.path(), way + "-whole", o);
    whole.push_back(test::result_of(folder_.path(), way + "-whole"));
    EXPECT_EQ(run_until(3, 2, way, o), RunEnd::interrupted);
    o.more.clear();
    run_on_threads(1, folder_.path(), way, [&] {
      JobOptions alone = o;
      alone.accumulation = 4;
      return alone;
    }());
    EXPECT_EQ(test::result_of(folder_.path(), way), whole.back()) << way;
    EXPECT_EQ(CheckpointReader(folder_.path() / way / "step-6").state().more.at("bf16_products"), way);
  }
  if (ways.size() < 2) return;
  EXPECT_NE(whole[0].losses, whole[1].losses);
  JobOptions o = options();
  o.dtype = "bf16";
  o.steps = 6;
  o.more = {"bf16_products: native"};
  EXPECT_EQ(run_until(3, 2, "turned", o), RunEnd::interrupted);
  o.more = {"bf16_products: widened"};
  run_on_threads(2, folder_.path(), "turned", o);
  EXPECT_NE(test::result_of(folder_.path(), "turned"), whole[1]);
  EXPECT_EQ(CheckpointReader(folder_.path() / "turned" / "step-6").state().more.at("bf16_products"), "widened");
}

/// Bytes that this process has read with read() and its like since it began.
std::uint64_t bytes_read() {
  std::ifstream file("/proc/self/io");
  std::string word;
  std::uint64_t bytes = 0;
  while (file >> word) {
    if (word == "rchar:") file >> bytes;
  }
  return bytes;
}

TEST_F(Resume, ACheckpointIsHashedOnceHoweverManyRanksGoOnFromIt) {
  JobOptions o = options(1);
  o.steps = 2;
  run_on_threads(4, folder_.path(), "run", o);
  const Path step = folder_.path() / "run" / "step-2";
  std::uint64_t size = 0;
  for (const auto& entry : std::filesystem::directory_iterator(step)) size += entry.file_size();
  const std::uint64_t before = bytes_read();
  EXPECT_EQ(run_on_threads(4, folder_.path(), "run", o), RunEnd::finished);  // which it says, after filling all ranks
  // Once to compare the digests, once to fill the ranks; manifests (a part of it), the small files and the data besides.
  const auto times = static_cast<double>(bytes_read() - before) / static_cast<double>(size);
  fmt::print("a checkpoint of {} bytes was read {:.2f} times\n", size, times);
  EXPECT_LT(times, 2.7);
}

TEST_F(Resume, OnAnotherKindOfProcessorItSaysSo) {
  EXPECT_THAT(said_on(2, {"A, avx2"}), Not(HasSubstr("processor")));
  EXPECT_THAT(said_on(3, {"A, avx2", "A, avx2"}), Not(HasSubstr("not to the bit")));
  EXPECT_THAT(said_on(4, {"B, avx512"}),
              HasSubstr("note: this run was computed on A, avx2 so far and continues on B, avx512"));
  EXPECT_THAT(said_on(5, {"B, avx512"}), Not(HasSubstr("not to the bit")));
  EXPECT_THAT(said_on(6, {"B, avx512", "B, avx512", "C"}),
              AllOf(HasSubstr("different kinds of processor (rank 0: B, avx512; rank 2: C)"),
                    Not(HasSubstr("this run was computed on"))));
  EXPECT_THAT(said_on(7, {"A, avx2"}), HasSubstr("computed on B, avx512 so far and continues on A, avx2"));
  const CheckpointReader last(folder_.path() / "moved" / "step-7");
  EXPECT_EQ(last.state().more.at("devices"), nlohmann::json({"A, avx2", "B, avx512", "A, avx2"}));
}

TEST_F(Resume, TwoRanksThenOneThenThreeThenFour) {
  run_on_threads(2, folder_.path(), "whole", options());
  const auto whole = test::result_of(folder_.path(), "whole");
  EXPECT_EQ(run_until(5, 2, "moved", options()), RunEnd::interrupted);
  EXPECT_EQ(run_until(11, 1, "moved", options()), RunEnd::interrupted);  // four microbatches on one rank
  EXPECT_EQ(run_until(17, 3, "moved", options()), RunEnd::interrupted);  // two places of each last round stay empty
  JobOptions last = options();
  last.zero_stage = 1;
  last.recompute = 1;
  last.threads = 2;
  EXPECT_EQ(run_on_threads(4, folder_.path(), "moved", last), RunEnd::finished);
  EXPECT_TRUE(test::result_of(folder_.path(), "moved") == whole);
}

TEST_F(Resume, KilledBetweenCheckpoints) {
  run_on_threads(2, folder_.path(), "whole", options());
  const pid_t child = ::fork();
  if (child == 0) {
    run_on_threads(2, folder_.path(), "killed", options(), [](RunContext& context) {
      context.after_step = [](std::int64_t step) {
        if (step == 10) ::kill(::getpid(), SIGKILL);
      };
    });
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(run_on_threads(2, folder_.path(), "killed", options()), RunEnd::finished);
  EXPECT_TRUE(test::result_of(folder_.path(), "killed") == test::result_of(folder_.path(), "whole"));
  std::int64_t last = 0;
  for (const StepRecord& record : read_metrics(folder_.path() / "killed" / "trainer_log.jsonl")) {
    EXPECT_EQ(record.step, last + 1) << "no step stands in the log twice";
    last = record.step;
  }
}

TEST_F(Resume, AFinishedRunSaysSo) {
  run_on_threads(1, folder_.path(), "run", {.steps = 3});
  const auto before = test::result_of(folder_.path(), "run");
  EXPECT_EQ(run_on_threads(1, folder_.path(), "run", {.steps = 3}), RunEnd::finished);
  EXPECT_TRUE(test::result_of(folder_.path(), "run") == before);
}

TEST_F(Resume, AnotherRecipeIsRefusedByKey) {
  run_on_threads(1, folder_.path(), "run", {.steps = 3});
  try {
    run_on_threads(1, folder_.path(), "run", {.steps = 3, .more = {"seed: 5"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::usage);
    EXPECT_NE(error.text().find("seed: was 42, is now 5"), std::string::npos) << error.text();
  }
}

TEST_F(Resume, ChangedDataIsRefused) {
  run_until(2, 1, "run", options());
  const std::string rows = read_text(folder_.path() / "rows.jsonl");
  write_file(folder_.path() / "rows.jsonl", rows + rows.substr(0, rows.find('\n') + 1));
  try {
    run_on_threads(1, folder_.path(), "run", options());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::data);
    EXPECT_NE(error.text().find("the data changed"), std::string::npos) << error.text();
    EXPECT_THAT(error.text(), HasSubstr("(24 rows then, 25 now)"));
  }
  const std::size_t first = rows.find('\n') + 1;
  write_file(folder_.path() / "rows.jsonl", rows.substr(first) + rows.substr(0, first));
  try {
    run_on_threads(1, folder_.path(), "run", options());
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.text(), HasSubstr("(24 rows as then, but the texts or the tokenizer differ)"));
  }
}

TEST_F(Resume, OnOtherRanksItSaysWhichRowsAStepKeeps) {
  EXPECT_THAT(said_on(2, {"A", "A"}), Not(HasSubstr("a step keeps")));
  EXPECT_THAT(said_on(3, {"A", "A"}), Not(HasSubstr("a step keeps")));
  EXPECT_THAT(said_on(4, {"A"}), HasSubstr("note: a step keeps its"));
}

/// 24 rows, 10 a step: the third step of an epoch is short. More epochs later see every row once more, none left out.
TEST_F(Resume, MoreEpochsGoOnWhereTheCursorStands) {
  JobOptions once = {.accumulation = 5, .steps = 0};
  once.more = {"num_train_epochs: 1"};
  run_on_threads(1, folder_.path(), "run", once);
  JobOptions twice = once;
  twice.more = {"num_train_epochs: 2"};
  run_on_threads(2, folder_.path(), "run", twice);
  std::vector<std::string> complaints;
  const CheckpointReader reader(*newest_verified(folder_.path() / "run", complaints));
  EXPECT_EQ(reader.state().row, 48);
  EXPECT_EQ(reader.state().step, 6);
  std::int64_t tokens = 0;
  for (const StepRecord& record : read_metrics(folder_.path() / "run" / "trainer_log.jsonl")) {
    if (record.step == 3) tokens = record.tokens;
  }
  EXPECT_EQ(reader.state().tokens, 2 * tokens);
}

TEST_F(Resume, ANamedCheckpointKeepsItsMathematics) {
  run_until(4, 1, "first", options());
  JobOptions other = options();
  other.more = {fmt::format("resume_from_checkpoint: {}/first/step-4", folder_.path().string()), "seed: 7"};
  try {
    run_on_threads(1, folder_.path(), "second", other);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::usage);
    EXPECT_NE(error.text().find("seed"), std::string::npos) << error.text();
  }
  other.more.pop_back();
  EXPECT_EQ(run_on_threads(2, folder_.path(), "third", other), RunEnd::finished);
  run_on_threads(1, folder_.path(), "whole", options());
  EXPECT_TRUE(test::result_of(folder_.path(), "third").weights == test::result_of(folder_.path(), "whole").weights);
}

TEST_F(Resume, NaNStopsTheRunAndNamesThePlace) {
  JobOptions broken = options();
  broken.more = {"init: normal", "initializer_range: 1.0e30"};
  try {
    run_on_threads(2, folder_.path(), "broken", broken);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::numeric);
    EXPECT_NE(error.text().find("step 1"), std::string::npos) << error.text();
    EXPECT_NE(error.text().find("rank 0"), std::string::npos) << error.text();
    EXPECT_NE(error.text().find("of block "), std::string::npos) << error.text();
    EXPECT_THAT(error.text(),
                AllOf(HasSubstr("the fresh weights are too large"), Not(HasSubstr("Lower learning_rate"))));
    const Path report = folder_.path() / "broken" / "report.html";
    EXPECT_TRUE(says(report, error.text()));  // it holds nothing that HTML writes otherwise
    EXPECT_TRUE(says(report, "class=\"state broken\""));
  }
}

}  // namespace
}  // namespace hearth
