// Lines of plain and of compressed files.
#include "data/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data_test/support.h"

namespace hearth::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Stream, LinesWithNumbersAndOffsets) {
  const Folder folder;
  const std::string path = put(folder.path() / "a.jsonl", "one\r\n\nthree\nlast");
  LineReader lines(path, Container::lines);
  std::vector<std::string> seen;
  while (lines.next()) seen.push_back(fmt::format("{}@{}:{}", lines.number(), lines.offset(), lines.line()));
  EXPECT_THAT(seen, ElementsAre("1@0:one\r", "2@5:", "3@6:three", "4@12:last"));
}

TEST(Stream, CompressedLinesEqualPlainOnesAcrossFramesAndBlocks) {
  const Folder folder;
  std::string content;
  for (int i = 0; i < 60000; ++i)
    content += fmt::format("line {} {}\n", i, std::string(static_cast<std::size_t>(i % 97), 'x'));
  const std::size_t middle = 1234567;
  put(folder.path() / "a.jsonl.zst",
      compressed(content.substr(0, middle)) + compressed("") + compressed(content.substr(middle)));
  LineReader lines(folder.path() / "a.jsonl.zst", Container::lines_zstd);
  std::string read;
  while (lines.next()) read += lines.line() + "\n";
  EXPECT_EQ(read.size(), content.size());
  EXPECT_TRUE(read == content);
}

TEST(Stream, AFrameThatIsReadBeforeAllOfItCameOutIsNotCutOff) {
  const Folder folder;
  const std::string content(5000, 'a');  // one small block: its input is gone long before its output
  put(folder.path() / "a.jsonl.zst", compressed(content) + compressed(content));
  const auto bytes = ByteStream::open(folder.path() / "a.jsonl.zst", Container::lines_zstd);
  std::string piece(7, '\0');
  std::string read;
  for (std::size_t got = 0; (got = bytes->read(piece.data(), piece.size())) > 0;) read.append(piece, 0, got);
  EXPECT_TRUE(read == content + content);
}

TEST(Stream, ATruncatedOrDamagedCompressedFileIsRefused) {
  const Folder folder;
  std::string bytes = compressed(std::string(100000, 'a') + "\n" + std::string(5000, 'b'));
  const auto read_all = [&] {
    LineReader lines(folder.path() / "a.jsonl.zst", Container::lines_zstd);
    while (lines.next()) {
    }
  };
  put(folder.path() / "a.jsonl.zst", bytes.substr(0, bytes.size() - 3));
  EXPECT_THAT(error_of(Kind::data, read_all), HasSubstr("cut off"));
  put(folder.path() / "a.jsonl.zst", "{\"text\": \"not compressed at all\"}\n");
  EXPECT_THAT(error_of(Kind::data, read_all), HasSubstr("damaged zstd"));
  put(folder.path() / "a.jsonl.zst", "");
  EXPECT_THAT(error_of(Kind::data, read_all), HasSubstr("empty"));
}

TEST(Stream, ALineHasALimit) {
  const Folder folder;
  const std::string path = put(folder.path() / "a.jsonl", "ok\n" + std::string(5000, 'x') + "\n");
  LineReader lines(path, Container::lines, 1000);
  EXPECT_TRUE(lines.next());
  EXPECT_THAT(error_of(Kind::data, [&] { lines.next(); }), HasSubstr("line 2"));
}

}  // namespace
}  // namespace hearth::test
