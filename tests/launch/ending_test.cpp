// What is thrown, and the exit code and message that become of it, without other ranks.
#include "launch/ending.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

namespace hearth {
namespace {

using testing::HasSubstr;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

/// The exit code of `work`, and what it printed.
std::pair<int, std::string> end_of(const std::function<int()>& work) {
  Environment environment;
  CaptureStderr();
  const int code = ended(environment, work);
  return {code, GetCapturedStderr()};
}

TEST(Ending, WhatWorkReturnsIsTheCode) {
  EXPECT_EQ(end_of([] { return 0; }), std::pair(0, std::string()));
  EXPECT_EQ(end_of([] { return 10; }), std::pair(10, std::string()));
}

TEST(Ending, EveryKindIsItsNumber) {
  for (const Kind kind : {Kind::usage, Kind::data, Kind::machine, Kind::numeric, Kind::storage, Kind::integrity,
                          Kind::preempted, Kind::validation, Kind::internal}) {
    EXPECT_EQ(end_of([&]() -> int { fail(kind, "file {} is odd", 3); }),
              std::pair(static_cast<int>(kind), std::string("hearth: file 3 is odd\n")));
    EXPECT_EQ(end_of([&]() -> int { fail_everywhere(kind, "odd"); }),
              std::pair(static_cast<int>(kind), std::string("hearth: odd\n")));
  }
}

TEST(Ending, DefectsAskForAReport) {
  const auto [code, text] = end_of([]() -> int {
    require(false, "a row has labels");
    return 0;
  });
  EXPECT_EQ(code, 70);
  EXPECT_EQ(text, "hearth: internal error: a row has labels (please report this)\n");
  const auto [foreign, words] = end_of([]() -> int { throw std::out_of_range("vector::at"); });
  EXPECT_EQ(foreign, 70);
  EXPECT_EQ(words, "hearth: internal error: vector::at (please report this)\n");
}

TEST(Ending, WhatTheStandardLibrarySaysAboutFilesIsNoDefect) {
  const auto [code, text] = end_of([]() -> int {
    throw std::filesystem::filesystem_error("status", "some/path", std::make_error_code(std::errc::permission_denied));
  });
  EXPECT_EQ(code, 4);
  EXPECT_EQ(text, "hearth: cannot look at some/path: Permission denied\n");
}

TEST(Ending, WithoutMemoryTheMachineIsNamed) {
  const auto [code, text] = end_of([]() -> int { throw std::bad_alloc(); });
  EXPECT_EQ(code, 4);
  EXPECT_THAT(text, HasSubstr("out of memory"));
}

}  // namespace
}  // namespace hearth
