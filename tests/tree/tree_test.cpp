// The rules, on the tree itself.
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "tree/rules.h"

namespace hearth::test {
namespace {

bool is_wanted(const Path& path) {
  return path.extension() == ".h" || path.extension() == ".cpp" || path.filename() == "CMakeLists.txt";
}

// Every source and CMakeLists.txt of the folders of the design, and of tests/.
std::vector<Source> tree() {
  const Path root = HEARTH_SOURCE;
  std::vector<Source> sources;
  for (const char* folder :
       {"base", "kernels", "parallel", "model", "optim", "data", "trainer", "serve", "launch", "tests"}) {
    if (!std::filesystem::is_directory(root / folder)) continue;
    auto entry = std::filesystem::recursive_directory_iterator(root / folder);
    for (; entry != std::filesystem::recursive_directory_iterator(); ++entry) {
      if (entry->path().filename().string().starts_with(".")) entry.disable_recursion_pending();  // tests/peers/.venv
      if (entry->is_regular_file() && is_wanted(entry->path()))
        sources.push_back({std::filesystem::relative(entry->path(), root).string(), read_text(entry->path())});
    }
  }
  return sources;
}

bool is_cmake(const Source& source) {
  return source.path.ends_with("CMakeLists.txt");
}

std::vector<Source> cmake_files(const std::vector<Source>& sources) {
  std::vector<Source> files;
  for (const Source& source : sources)
    if (is_cmake(source)) files.push_back(source);
  return files;
}

void expect_none(const Complaints& complaints) {
  EXPECT_TRUE(complaints.empty()) << fmt::format("{}", fmt::join(complaints, "\n"));
}

TEST(Tree, IncludesPointDown) {
  const auto sources = tree();
  ASSERT_GT(sources.size(), 20U) << "the tree was not found";
  for (const Source& source : sources)
    if (!is_cmake(source)) expect_none(check_includes(source));
}

TEST(Tree, LinksPointDown) {
  const auto files = cmake_files(tree());
  const auto folders = library_folders(files);
  ASSERT_TRUE(folders.contains("hearth_base"));
  for (const Source& file : files) expect_none(check_links(file, folders));
}

TEST(Tree, KeepsItsHabits) {
  for (const Source& source : tree()) expect_none(check_habits(source));
}

// A .cpp that no CMakeLists.txt on its way up names is built by nobody.
TEST(Tree, EverySourceIsBuilt) {
  const auto sources = tree();
  const auto files = cmake_files(sources);
  for (const Source& source : sources) {
    if (!source.path.ends_with(".cpp")) continue;
    const Path path = source.path;
    bool built = false;
    for (const Source& file : files) {
      const std::string folder = Path(file.path).parent_path().string() + "/";
      built = built || (source.path.starts_with(folder) && is_built(path.filename().string(), file));
    }
    EXPECT_TRUE(built) << source.path << " stands in no CMakeLists.txt";
  }
}

}  // namespace
}  // namespace hearth::test
