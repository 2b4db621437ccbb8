#include <unistd.h>

#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/error.h"

namespace hearth {
namespace {

class File : public testing::Test {
 protected:
  File() { std::filesystem::create_directories(folder_); }
  ~File() override { std::filesystem::remove_all(folder_); }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  Path folder_ = std::filesystem::temp_directory_path() / fmt::format("hearth_file_test_{}", ::getpid());
};

TEST_F(File, AppearsWholeOrNotAtAll) {
  const Path path = folder_ / "a.txt";
  write_file(path, "old");
  {
    OutFile file(path);
    file.write("new");
  }
  EXPECT_EQ(read_text(path), "old");
  write_file(path, "new");
  EXPECT_EQ(read_text(path), "new");
  EXPECT_EQ(entries(), 1U);
}

/// Whoever opens a pipe that nobody writes to waits for ever.
TEST_F(File, APipeIsRefusedAndNotWaitedFor) {
  const Path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  ::alarm(20);  // ends the test where it would hang
  try {
    read_text(pipe);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::data);
    EXPECT_EQ(error.text(), fmt::format("cannot read {}: it is no regular file (a pipe or a device)", pipe.string()));
  }
  ::alarm(0);
}

TEST_F(File, LinksStayAndWhatIsNoFileIsRefused) {
  const Path real = folder_ / "real";
  const Path link = folder_ / "link";
  write_file(real, "old");
  std::filesystem::create_symlink("real", link);
  write_file(link, "new");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(read_text(real), "new");
  const Path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const Path& path : {pipe, folder_, Path("/dev/null")}) {
    try {
      write_file(path, "lost");
      ADD_FAILURE() << path << " was written over";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Kind::usage) << path;
    }
  }
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST_F(File, ErrorsNameThePath) {
  try {
    read_text(folder_ / "missing");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::data);
    EXPECT_NE(error.text().find("missing"), std::string::npos);
  }
  EXPECT_THROW(read_text(folder_), Error);
}

TEST_F(File, FullDiskIsAStorageError) {
  try {
    OutFile file("/dev/shm/../full/x");  // no such folder
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::storage);
  }
}

TEST_F(File, MapsEmptyFiles) {
  write_file(folder_ / "empty", "");
  EXPECT_TRUE(MappedFile(folder_ / "empty").bytes().empty());
}

TEST_F(File, AFolderWhereAFileIsWasMisnamed) {
  write_file(folder_ / "a.txt", "a");
  for (const Path& path : {folder_ / "a.txt", folder_ / "a.txt" / "b", folder_ / std::string(300, 'n')}) {
    try {
      make_folder(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Kind::usage) << error.text();
      EXPECT_NE(error.text().find(path.string()), std::string::npos);
    }
  }
  make_folder(folder_ / "b" / "c");
  make_folder(folder_ / "b" / "c");
}

TEST(Errors, OfTheStandardLibraryKeepTheirPath) {
  const auto error = [](std::errc code) {
    return as_error(std::filesystem::filesystem_error("status", "some/path", std::make_error_code(code)));
  };
  EXPECT_EQ(error(std::errc::permission_denied).kind(), Kind::machine);
  EXPECT_EQ(error(std::errc::io_error).kind(), Kind::storage);
  EXPECT_EQ(error(std::errc::permission_denied).text(), "cannot look at some/path: Permission denied");
}

TEST(Plain, KeepsThePlaceAndNothingElse) {
  for (const auto& [spelt, place] :
       {std::pair("a/b", "a/b"), std::pair("a/b/", "a/b"), std::pair("./a//b/.", "a/b"), std::pair("a/../b/", "a/../b"),
        std::pair("/", "/"), std::pair("//a/", "/a"), std::pair("/a/./", "/a"), std::pair(".", "."),
        std::pair("./", "."), std::pair("..", ".."), std::pair("", ""), std::pair("a/*.txt", "a/*.txt")}) {
    EXPECT_EQ(plain(spelt).native(), place) << spelt;
  }
}

}  // namespace
}  // namespace hearth
