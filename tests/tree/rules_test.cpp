// The rules themselves, on made-up files: each must find what it is there to find, and leave the rest alone.
#include "tree/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

TEST(Includes, PointDown) {
  EXPECT_THAT(check_includes({"model/a.h", "#include <vector>\n#include \"base/error.h\"\n#include \"model/b.h\"\n"}),
              IsEmpty());
  EXPECT_THAT(check_includes({"parallel/a.h", "#include \"kernels/ops.h\"\n"}), IsEmpty());
  EXPECT_THAT(check_includes({"launch/a.cpp", "#include \"trainer/recipe.h\"\n"}), IsEmpty());
  EXPECT_THAT(check_includes({"tests/model/a.cpp", "#include \"trainer/recipe.h\"\n#include \"helper.h\"\n"}),
              IsEmpty());
}

TEST(Includes, NeverUp) {
  EXPECT_THAT(check_includes({"model/a.h", "\n#include \"trainer/recipe.h\"\n"}),
              ElementsAre("model/a.h:2: model may not include \"trainer/recipe.h\""));
  EXPECT_THAT(check_includes({"parallel/a.h", "#include \"kernels/backend.h\"\n"}),
              ElementsAre("parallel/a.h:1: parallel may not include \"kernels/backend.h\""));
  EXPECT_THAT(check_includes({"model/a.h", "#include \"parallel/mesh.h\"\n"}),
              ElementsAre("model/a.h:1: model may not include \"parallel/mesh.h\""));
  EXPECT_THAT(check_includes({"kernels/cpu/a.cpp", "  #  include \"model/block.h\"\n"}),
              ElementsAre("kernels/cpu/a.cpp:1: kernels may not include \"model/block.h\""));
  EXPECT_THAT(check_includes({"serve/a.h", "#include \"trainer/recipe.h\"\n"}),
              ElementsAre("serve/a.h:1: serve may not include \"trainer/recipe.h\""));
}

TEST(Includes, FromTheRoot) {
  EXPECT_THAT(check_includes({"base/a.h", "#include \"error.h\"\n"}),
              ElementsAre("base/a.h:1: \"error.h\" is not written from the root"));
  EXPECT_THAT(check_includes({"base/a.h", "#include \"../base/error.h\"\n"}),
              ElementsAre("base/a.h:1: \"../base/error.h\" is not written from the root"));
  EXPECT_THAT(check_includes({"elsewhere/a.h", ""}),
              ElementsAre("elsewhere/a.h:1: the folder elsewhere has no place in the design"));
}

TEST(Links, FollowTheIncludes) {
  const std::vector<Source> files = {
      {"data/tokenizer/CMakeLists.txt", "hearth_library(tokenizer SOURCES a.cpp LINKS hearth_base)"},
      {"base/CMakeLists.txt", "hearth_library(base\n  SOURCES a.cpp)"},
      {"trainer/CMakeLists.txt", "hearth_library(\n  trainer SOURCES a.cpp LINKS hearth_tokenizer)"}};
  const auto folders = library_folders(files);
  EXPECT_THAT(folders, UnorderedElementsAre(Pair("hearth_tokenizer", "data"), Pair("hearth_base", "base"),
                                            Pair("hearth_trainer", "trainer")));
  for (const Source& file : files) EXPECT_THAT(check_links(file, folders), IsEmpty());
  EXPECT_THAT(
      check_links({"model/CMakeLists.txt", "\n  LINKS hearth_base hearth_tokenizer  # hearth_trainer\n"}, folders),
      ElementsAre("model/CMakeLists.txt:2: model may not link hearth_tokenizer of data/"));
}

TEST(Habits, GoodCodeIsLeftAlone) {
  EXPECT_THAT(check_habits({"base/a.h",
                            "#pragma once\n"
                            "static const int three = 3;\n"
                            "static constexpr int four = 4;\n"
                            "static Tensor make(int rows);\n"
                            "  static_assert(four == 4);\n"
                            "static std::vector<int> parse(\n"
                            "  auto a = static_cast<int>(b);\n"}),
              IsEmpty());
  EXPECT_THAT(check_habits({"launch/bootstrap.cpp", "getenv(\"HOME\")"}), IsEmpty());
}

TEST(Habits, EachIsFound) {
  EXPECT_THAT(check_habits({"base/a.h", "int a;\n"}), ElementsAre("base/a.h:1: a header without #pragma once"));
  EXPECT_THAT(check_habits({"base/a.h", "#pragma once\nusing namespace std;\n"}),
              ElementsAre("base/a.h:2: a header opens a namespace for everybody"));
  EXPECT_THAT(check_habits({"trainer/a.cpp", "auto home = std::getenv(\"HOME\");\n"}),
              ElementsAre("trainer/a.cpp:1: reads the environment outside launch/bootstrap"));
  EXPECT_THAT(check_habits({"launch/main.cpp", "auto home = std::getenv(\"HOME\");\n"}),
              ElementsAre("launch/main.cpp:1: reads the environment outside launch/bootstrap"));
  EXPECT_THAT(check_habits({"base/a.cpp", "auto p = \"/home/me/data\";\n"}),
              ElementsAre("base/a.cpp:1: holds a path of one machine"));
  EXPECT_THAT(check_habits({"base/a.cpp", "// TODO: later\n"}),
              ElementsAre("base/a.cpp:1: notes something left undone"));
  EXPECT_THAT(check_habits({"tests/base/a.cpp", "GTEST_SKIP();\n"}),
              ElementsAre("tests/base/a.cpp:1: switches a test off"));
  for (const char* line : {"static int calls = 0;\n", "  static std::mutex lock;\n", "thread_local Cache cache{4};\n",
                           "inline static std::vector<int> all = make();\n"})
    EXPECT_THAT(check_habits({"base/a.cpp", line}), ElementsAre("base/a.cpp:1: a static that can change")) << line;
  std::string long_text;
  for (int line = 0; line < 501; ++line) long_text += "int a;\n";
  EXPECT_THAT(check_habits({"base/a.cpp", long_text}),
              ElementsAre("base/a.cpp:501: more than 500 lines: more than one idea"));
}

TEST(Built, WholeNamesOnly) {
  const Source file = {"base/CMakeLists.txt", "hearth_library(base SOURCES random.cpp cpu/gemm.cpp\n  tensor.cpp)"};
  EXPECT_TRUE(is_built("random.cpp", file));
  EXPECT_TRUE(is_built("gemm.cpp", file));
  EXPECT_TRUE(is_built("tensor.cpp", file));
  EXPECT_FALSE(is_built("sensor.cpp", file));
  EXPECT_FALSE(is_built("andom.cpp", file));
}

}  // namespace
}  // namespace hearth::test
