// Whatever was changed in a checkpoint is found before anything of it is used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/random.h"
#include "base/sha384.h"
#include "checkpoint/scene.h"
#include "support/shared.h"
#include "trainer/manifest_json.h"

namespace hearth::test {
namespace {

using testing::HasSubstr;

void put(const Path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class Damage : public testing::Test {
 protected:
  Damage() {
    old_.save_from(2, folder_.path(), 10);
    new_.save_from(2, folder_.path(), 20);
  }

  Path step(std::int64_t n) const { return folder_.path() / ("step-" + std::to_string(n)); }

  /// step-20 is refused, and the loader falls back to step-10.
  void expect_found(const std::string& what, const std::string& words = "") {
    std::string text;
    EXPECT_EQ(kind_of([&] { CheckpointReader{step(20)}; }, &text), Kind::integrity) << what;
    EXPECT_THAT(text, HasSubstr(words)) << what;
  }
  void expect_fallback() {
    std::vector<std::string> complaints;
    const auto newest = newest_verified(folder_.path(), complaints);
    ASSERT_EQ(newest, step(10));
    EXPECT_TRUE(old_.is_in(CheckpointReader(*newest), 10));
    EXPECT_EQ(complaints.size(), 1U);
  }

  /// Replaces text in the manifest and makes its digest right again: what a wrong writer would leave.
  void rewrite(const std::string& from, const std::string& to) {
    std::string text = read_text(step(20) / "MANIFEST.json");
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    put(step(20) / "MANIFEST.json", text);
    put(step(20) / "MANIFEST.sha384", sha384(text) + "  MANIFEST.json\n");
  }

  Scene old_{1};
  Scene new_{2};
  Folder folder_;
};

TEST_F(Damage, one_bit_anywhere) {
  const std::vector<Path> files = files_of(step(20));
  std::size_t total = 0;
  for (const Path& file : files) total += std::filesystem::file_size(file);
  const Key key = Key(3).with("flips");
  const auto change = [](const Path& file, std::size_t offset, int bit) {
    std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
    stream.seekg(static_cast<std::streamoff>(offset));
    const int byte = stream.get();
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.put(static_cast<char>(byte ^ (1 << bit)));
    ASSERT_TRUE(stream.flush());
  };
  const auto flip = [&](const Path& file, std::size_t offset, int bit) {
    change(file, offset, bit);
    expect_found(file.filename().string() + " at " + std::to_string(offset));
    change(file, offset, bit);
  };
  for (std::uint64_t i = 0; i < 1000; ++i) {
    std::size_t offset = key.below(total, 2 * i);
    std::size_t file = 0;
    while (offset >= std::filesystem::file_size(files[file])) offset -= std::filesystem::file_size(files[file++]);
    flip(files[file], offset, static_cast<int>(key.below(8, 2 * i + 1)));
  }
  const Path digest = step(20) / "MANIFEST.sha384";
  for (std::size_t offset = 0; offset < std::filesystem::file_size(digest); ++offset) flip(digest, offset, 5);
  EXPECT_NO_THROW(CheckpointReader{step(20)}) << "every bit was put back";
}

TEST_F(Damage, files_that_are_not_the_saved_ones) {
  const Path one = step(20) / part_name(0, 2);
  const Path two = step(20) / part_name(1, 2);
  const std::string first = read_text(one);
  const std::string second = read_text(two);
  put(one, second);
  put(two, first);
  expect_found("swapped parts", "part-00000");
  expect_fallback();
  put(one, first);
  put(two, second.substr(0, second.size() - 1));
  expect_found("one byte cut", "bytes instead of");
  put(two, second + "x");
  expect_found("one byte more", "bytes instead of");
  put(two, std::string(second.size(), '\0'));
  expect_found("zeros", "was changed");
  put(two, read_text(step(10) / part_name(1, 2)));
  expect_found("an older part of the same name", "part-00001");
  put(two, second);
  EXPECT_NO_THROW(CheckpointReader{step(20)});

  put(step(20) / "more.h5", "");
  expect_found("a file that is not listed", "more.h5 is not listed");
  std::filesystem::remove(step(20) / "more.h5");
  std::filesystem::create_directory(step(20) / "more");
  expect_found("a folder inside", "no plain file");
  std::filesystem::remove(step(20) / "more");
  std::filesystem::rename(two, folder_.path() / "elsewhere.h5");
  expect_found("a missing part", "part-00001-of-00002.h5 is missing");
  std::filesystem::create_symlink(folder_.path() / "elsewhere.h5", two);
  expect_found("a link to the right bytes", "no plain file");
}

TEST_F(Damage, a_carried_file_that_changes_while_it_is_open) {
  const CheckpointReader reader(step(20));
  const std::vector<std::string> names = reader.carried_names();
  ASSERT_FALSE(names.empty());
  for (const std::string& name : names) {
    const std::string bytes = reader.carried(name).value();
    put(step(20) / name, bytes + " ");
    std::string text;
    EXPECT_EQ(kind_of([&] { reader.carried(name); }, &text), Kind::integrity) << name;
    EXPECT_THAT(text, HasSubstr("was changed after it was verified"));
    put(step(20) / name, bytes);
    EXPECT_EQ(reader.carried(name), bytes);
  }
}

TEST_F(Damage, another_checkpoint_under_this_name) {
  std::filesystem::remove_all(step(20));
  std::filesystem::copy(step(10), step(20));
  expect_found("a renamed folder", "step 10 under another name");
  expect_fallback();
  std::filesystem::rename(step(20), folder_.path() / "my model");
  EXPECT_TRUE(old_.is_in(CheckpointReader(folder_.path() / "my model"), 10)) << "any other name is free";
}

TEST_F(Damage, a_manifest_or_digest_that_is_missing) {
  std::filesystem::remove(step(20) / "MANIFEST.sha384");
  expect_found("no digest", "has no MANIFEST.sha384");
  expect_fallback();
  std::filesystem::remove(step(20) / "MANIFEST.json");
  expect_found("no manifest", "has no MANIFEST.json");
}

TEST_F(Damage, an_unknown_format_version_is_refused_and_not_passed_over) {
  rewrite("\"version\": 1", "\"version\": 3");
  std::string text;
  EXPECT_EQ(kind_of([&] { CheckpointReader{step(20)}; }, &text), Kind::data);
  EXPECT_THAT(text, HasSubstr("format version 3; this hearth knows versions 1 to 2"));
  std::vector<std::string> complaints;
  EXPECT_EQ(kind_of([&] { newest_verified(folder_.path(), complaints); }), Kind::data);
}

TEST_F(Damage, a_manifest_that_contradicts_itself) {
  const std::string whole = read_text(step(20) / "MANIFEST.json");
  const auto refuse = [&](const std::string& from, const std::string& to, const std::string& words) {
    put(step(20) / "MANIFEST.json", whole);
    rewrite(from, to);
    expect_found(from + " -> " + to, words);
  };
  refuse("\"step\": 20", "\"step\": 21", "two different steps");
  refuse("\"parts\": 2", "\"parts\": 3", "does not list part-00000-of-00003.h5");
  refuse("\"parts\": 2", "\"parts\": 1e9", "\"parts\"");
  refuse("\"elements\": ", "\"elements\": 1", "number of elements");
  refuse("\"dims\":[31,7]", "\"dims\":[31,8]", "217 of 248 elements");
  refuse("\"dims\":[31,7]", "\"dims\":[31,7,4294967296,4294967296]", "impossible dims");
  refuse("\"dims\":[31,7]", "\"dims\":[31,-7]", "whole number");
  refuse("\"pieces\":[[0,0,", "\"pieces\":[[0,1,", "gap or an overlap");
  refuse("\"pieces\":[[0,0,", "\"pieces\":[[2,0,", "part 2 of 2");
  refuse("\"pieces\":[[0,0,", "\"pieces\":[[0,0,1,", "wrong length");
  refuse("\"moments\": true", "\"moments\": false", "wrong length");
  refuse("\"seed\":", "\"seed\":-", "seed");
  refuse("\"empty\": {", "\"../empty\": {", "no plain file name");
  refuse("\"scale\": {", "\"scale/x\": {", "no name of a parameter");
  refuse("{\n\"format\"", "{{\n\"format\"", "is no JSON");
  refuse("hearth checkpoint", "other checkpoint", "no manifest of a checkpoint");
}

TEST_F(Damage, an_offset_outside_of_the_part) {
  Manifest manifest = read_manifest(step(20)).manifest;
  const std::string place = "MANIFEST";
  EXPECT_NO_THROW(parse_manifest(manifest.text(), place));
  Manifest::Piece& piece = manifest.tensors.at("scale").pieces[0];
  const std::int64_t bytes = manifest.files.at(part_name(piece.part, 2)).bytes;
  for (const std::int64_t at : {bytes - 3, bytes, std::int64_t{1} << 62}) {
    piece.at[1] = at;
    EXPECT_EQ(kind_of([&] { parse_manifest(manifest.text(), place); }), Kind::integrity) << at;
  }
  piece.at[1] = bytes - 4;
  EXPECT_NO_THROW(parse_manifest(manifest.text(), place));
}

}  // namespace
}  // namespace hearth::test
