// What a manifest says of pieces is believed only where it can be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "base/sha384.h"
#include "checkpoint/mesh_scene.h"
#include "checkpoint/scene.h"
#include "support/shared.h"
#include "trainer/manifest_json.h"

namespace hearth::test {
namespace {

using testing::HasSubstr;

/// A checkpoint of two tensor ranks: parameters that are cut by columns lie in rectangles.
class Rectangles : public testing::Test {
 protected:
  Rectangles() {
    EXPECT_TRUE(scene_.save_from({2, 1}, folder_.path(), 20, 0).committed);
    manifest_ = read_manifest(folder_.path() / "step-20").manifest;
    text_ = manifest_.text();
  }

  /// The text with the first `from` replaced is refused, naming the parameter and the reason.
  void refuse(const std::string& from, const std::string& to, const std::string& words) {
    std::string text = text_;
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    std::string reason;
    EXPECT_EQ(kind_of([&] { parse_manifest(text, "MANIFEST"); }, &reason), Kind::integrity) << to;
    EXPECT_THAT(reason, HasSubstr(words)) << to;
  }

  MeshScene scene_{3};
  Folder folder_;
  Manifest manifest_;
  std::string text_;
};

TEST_F(Rectangles, numbers_that_are_no_rectangle_of_the_parameter) {
  const std::string good = "[0,7,3,5]";
  ASSERT_THAT(text_, HasSubstr("\"columns.2.7x5\": {\"dims\":[7,5],\"pieces\":[[0," + good));
  ASSERT_NO_THROW(parse_manifest(text_, "MANIFEST"));
  for (const char* odd : {"[]", "[0]", "[0,7,3]", "[0,7,3,5,0]", "[[0,7,3,5]]"}) {
    refuse(good, odd, "columns.2.7x5 has a piece of the wrong length");
  }
  for (const char* odd : {"-1", "5.0", "1e1", "\"5\"", "null", "true", "[5]", "18446744073709551615", "1e400"}) {
    for (const std::string& numbers : {std::string("[") + odd + ",7,3,5]", std::string("[0,") + odd + ",3,5]",
                                       std::string("[0,7,") + odd + ",5]", std::string("[0,7,3,") + odd + "]"}) {
      refuse(good, numbers,
             std::string(odd) == "1e400" ? "no JSON" : "columns.2.7x5 has a \"pieces\" that is no whole");
    }
  }
  for (const char* odd : {"9223372036854775807", "4611686018427387904", "1000000000000000000"}) {
    for (const std::string& numbers : {std::string("[") + odd + ",7,3,5]", std::string("[0,") + odd + ",3,5]",
                                       std::string("[0,7,") + odd + ",5]", std::string("[0,7,3,") + odd + "]"}) {
      refuse(good, numbers, "columns.2.7x5 has a piece that is impossible");
    }
  }
  for (const char* odd : {"[0,0,3,5]", "[0,7,0,5]", "[0,7,3,0]", "[0,7,3,2]", "[0,8,3,5]", "[3,7,3,5]", "[5,7,3,5]",
                          "[0,7,3,6]", "[0,1,3,0]", "[0,1,3,5]", "[0,7,5,5]"}) {
    refuse(good, odd, "columns.2.7x5 has a piece that is impossible");
  }
}

TEST_F(Rectangles, pieces_that_do_not_tile) {
  const std::string good = "[0,7,3,5]";
  const std::string gap_or_overlap = "columns.2.7x5 has a gap or an overlap: ";
  refuse(good, "[0,7,2,5]", gap_or_overlap + "28 of 35 elements");
  refuse(good, "[0,6,3,5]", gap_or_overlap + "32 of 35 elements");
  refuse(good, "[1,7,3,5]", gap_or_overlap + "the overlapping 7 rows of 3 from 1, 5 apart and 7 rows of 2 from 3");
  refuse(good, "[0,2,3,7]", gap_or_overlap + "rectangles in rows of 7 and of 5 elements");
  refuse(good, "0,21", gap_or_overlap + "the overlapping [0, 21) and 7 rows of 2 from 3, 5 apart");
  refuse(good, "0,3", gap_or_overlap + "17 of 35 elements");
  refuse(good, "[3,7,2,5]", "columns.2.7x5 has pieces out of order: at 3 after 3");
  refuse(good, "[4,7,1,5]", "columns.2.7x5 has pieces out of order: at 3 after 4");
}

TEST_F(Rectangles, version_1_has_none) {
  refuse("\"version\": 2", "\"version\": 1", "which version 1 has not");
  for (const char* odd : {"0", "3"}) {
    std::string other = text_;
    other.replace(other.find("\"version\": 2"), 12, std::string("\"version\": ") + odd);
    EXPECT_EQ(kind_of([&] { parse_manifest(other, "MANIFEST"); }), Kind::data) << odd;
  }
}

TEST_F(Rectangles, an_offset_outside_of_the_part) {
  Manifest::Piece& piece = manifest_.tensors.at("columns.2.7x5").pieces[0];
  const std::int64_t bytes = manifest_.files.at(part_name(piece.part, 2)).bytes;
  for (const std::int64_t at : {bytes - 21 * 4 + 1, bytes, std::int64_t{1} << 62}) {
    piece.at[2] = at;
    EXPECT_EQ(kind_of([&] { parse_manifest(manifest_.text(), "MANIFEST"); }), Kind::integrity) << at;
  }
  piece.at[2] = bytes - 21 * 4;
  EXPECT_NO_THROW(parse_manifest(manifest_.text(), "MANIFEST"));
}

/// Whatever a text says: it is refused, or each element of each parameter lies once where a part has room for it.
TEST_F(Rectangles, digits_changed_at_random) {
  const Key key = Key(5).with("digits");
  const std::string digits = "0123456789";
  const std::size_t begin = text_.find("\"tensors\"");
  std::uint64_t drawn = 0;
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string text = text_;
    for (auto changes = key.below(3, drawn++) + 1; changes > 0;) {
      const std::size_t at = begin + key.below(text.size() - begin, drawn++);
      if (digits.find(text[at]) == std::string::npos) continue;
      text[at] = digits[key.below(10, drawn++)];
      --changes;
    }
    try {
      const Manifest manifest = parse_manifest(text, "MANIFEST");
      for (const auto& [name, entry] : manifest.tensors) {
        std::vector<int> times(static_cast<std::size_t>(entry.dims.elements()), 0);
        for (const auto& [part, place, at] : entry.pieces) {
          for (const std::int64_t offset : at) {
            ASSERT_LE(offset + place.elements() * 4, manifest.files.at(part_name(part, 2)).bytes);
          }
          for (std::int64_t i = 0; i < place.elements(); ++i) {
            ++times.at(static_cast<std::size_t>(place.begin + i / place.columns * place.stride + i % place.columns));
          }
        }
        ASSERT_EQ(std::count(times.begin(), times.end(), 1), entry.dims.elements()) << name;
      }
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), Kind::integrity) << error.text();
      ++refused;
    }
  }
  EXPECT_GT(refused, 200);
  EXPECT_LT(refused, 2000);
}

TEST(ManifestVersion1, is_read_as_it_was_written) {
  const std::string zeros(96, '0');
  const std::string text = R"({
"format": "hearth checkpoint",
"version": 1,
"step": 20,
"program": "hearth 0.1.0",
"written": "2026-01-31T23:59:59Z",
"parent": "",
"recipe_sha384": ")" + sha384("") +
                           R"(",
"parts": 2,
"moments": true,
"elements": 6,
"state": {"step":20,"row":5,"rows_of_epoch":9,"microbatches":1,"microbatch_rows":1,"seed":7,"tokens":1,"trained_tokens":1,)"
                           R"("last_loss":null,"best_eval_loss":"inf","recipe":"","more":{}},
"files": {
 "checkpoint.h5": {"bytes":2560,"sha384":")" +
                           zeros + R"("},
 "part-00000-of-00002.h5": {"bytes":3024,"sha384":")" +
                           zeros + R"("},
 "part-00001-of-00002.h5": {"bytes":3000,"sha384":")" +
                           zeros + R"("}},
"tensors": {
 "layers.0.norm": {"dims":[2,3],"pieces":[[0,0,4,1480,1752,2024],[1,4,6,1480,1744,2008]]}}
}
)";
  const Manifest manifest = parse_manifest(text, "MANIFEST");
  const auto& pieces = manifest.tensors.at("layers.0.norm").pieces;
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0].place, (Stretch{0, 1, 4, 0}));
  EXPECT_EQ(pieces[1].place, (Stretch{4, 1, 2, 0}));
  EXPECT_EQ(pieces[1].at[2], 2008);
  EXPECT_EQ(manifest.text(), text) << "and without rectangles still written so";
}

TEST(ManifestCounts, more_elements_than_there_are_numbers) {
  Manifest manifest;
  manifest.moments = false;
  manifest.files[part_name(0, 1)] = {4000012, std::string(96, '0')};
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    manifest.tensors[name] = {{1000003}, {{0, {0, 1, 1000003, 0}, {0, 0, 0}}}};
  }
  std::string text = manifest.text();
  const auto replace_all = [&](const std::string& from, const std::string& to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from)) {
      text.replace(at, from.size(), to);
    }
  };
  EXPECT_NO_THROW(parse_manifest(text, "MANIFEST"));
  replace_all("1000003", "2305843009213693951");
  replace_all("4000012", "9223372036854775807");
  std::string reason;
  EXPECT_EQ(kind_of([&] { parse_manifest(text, "MANIFEST"); }, &reason), Kind::integrity);
  EXPECT_THAT(reason, HasSubstr("e has impossible dims"));
}

}  // namespace
}  // namespace hearth::test
