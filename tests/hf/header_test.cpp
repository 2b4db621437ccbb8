// Every rule of the format, each with a byte string that breaks it and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "bytes.h"
#include "expect_error.h"
#include "model/hf/safetensors_header.h"

namespace hearth {
namespace {

using test::safetensors;
using test::with_length;
using ::testing::AllOf;
using ::testing::HasSubstr;

hf::SafetensorsHeader parsed(const std::string& bytes) {
  return hf::parse_safetensors_header(std::as_bytes(std::span(bytes)), bytes.size(), "here");
}

/// Refused, with this error of the reference reader and these words.
void refused(const std::string& bytes, const std::string& error, const std::string& words = "") {
  EXPECT_THAT(test::refusal([&] { parsed(bytes); }), AllOf(HasSubstr("here"), HasSubstr(error), HasSubstr(words)))
      << bytes;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

/// A file with one tensor.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets, std::size_t data) {
  return safetensors("{" + entry("t", dtype, shape, offsets) + "}", std::string(data, '\0'));
}

TEST(Header, Good) {
  const auto header = parsed(safetensors(R"({"__metadata__":{"format":"pt"},)" + entry("b", "F32", "[2,1]", "[4,12]") +
                                             "," + entry("a", "BF16", "[2]", "[0,4]") + "}  ",
                                         std::string(12, '\0')));
  EXPECT_EQ(header.metadata.at("format"), "pt");
  EXPECT_EQ(header.tensors.at("b").dims, (std::vector<std::uint64_t>{2, 1}));
  EXPECT_EQ(header.tensors.at("b").begin, 4U);
  EXPECT_EQ(header.tensors.at("b").shape(), "(2, 1)");
  EXPECT_EQ(header.tensors.at("a").dtype, hf::Stored::bf16);
  EXPECT_EQ(parsed(safetensors("{}")).tensors.size(), 0U);
  EXPECT_EQ(parsed(one("F32", "[]", "[0,4]", 4)).tensors.at("t").elements(), 1U);
  EXPECT_EQ(parsed(one("F32", "[3,0]", "[0,0]", 0)).tensors.at("t").elements(), 0U);
  EXPECT_EQ(parsed(one("F4", "[2]", "[0,1]", 1)).tensors.at("t").bytes(), 1U);
}

TEST(Header, Lengths) {
  refused("", "HeaderTooSmall");
  refused(std::string(7, '\0'), "HeaderTooSmall");
  refused(with_length(100'000'001, "{}"), "HeaderTooLarge", "100000001");
  refused(with_length(UINT64_MAX, "{}"), "HeaderTooLarge");
  refused(with_length(UINT64_MAX - 7, "{}"), "HeaderTooLarge");
  refused(with_length(60, ""), "InvalidHeaderLength", "60");
  refused(with_length(3, "{}"), "InvalidHeaderLength");
  refused(with_length(100'000'000, "{}"), "InvalidHeaderLength");
}

TEST(Header, Text) {
  refused(safetensors("\xff"), "InvalidHeader:", "UTF-8");
  refused(safetensors("{\"\xc0\x80\":1}"), "InvalidHeader:", "byte 2");
  refused(safetensors(""), "InvalidHeaderDeserialization", "'{'");
  refused(safetensors("[]"), "InvalidHeaderDeserialization", "'{'");
  refused(safetensors(" {}"), "InvalidHeaderDeserialization", "'{'");
  refused(safetensors("\xef\xbb\xbf{}"), "InvalidHeaderDeserialization", "'{'");
  refused(safetensors("{"), "InvalidHeaderDeserialization", "not valid JSON");
  refused(safetensors("{}{}"), "InvalidHeaderDeserialization", "not valid JSON");
  refused(safetensors("{}" + std::string(2, '\0')), "InvalidHeaderDeserialization");
  refused(safetensors("{\"a\":" + std::string(200000, '[')), "InvalidHeaderDeserialization",
          "a list where none belongs");
  std::string deep = "{";
  for (int i = 0; i < 50000; ++i) deep += "\"a\":{";
  refused(safetensors(deep), "InvalidHeaderDeserialization");
}

TEST(Header, Schema) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"t":1})", "a number where none belongs (at \"t\")"},
      {R"({"t":[]})", "a list where none belongs"},
      {R"({"t":null})", "a null"},
      {R"({"t":"F32"})", "a text where none belongs"},
      {R"({"t":{}})", "no dtype"},
      {R"({"t":{"dtype":"F32","shape":[]}})", "no data_offsets"},
      {R"({"t":{"dtype":"F32","data_offsets":[0,4]}})", "no shape"},
      {R"({"t":{"dtype":"F32","shape":[],"data_offsets":[0]}})", "not two numbers"},
      {R"({"t":{"dtype":"F32","shape":[],"data_offsets":[0,4,8]}})", "has data_offsets that are not two numbers"},
      {R"({"t":{"dtype":"F32","shape":[],"data_offsets":4}})", "a number where none belongs"},
      {R"({"t":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", "a list where none belongs"},
      {R"({"t":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})",
       "has 1.0 where an unsigned 64-bit integer belongs"},
      {R"({"t":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}})", "has 1e0 where an unsigned"},
      {R"({"t":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "has -1 where an unsigned integer belongs"},
      {R"({"t":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}})",
       "has 18446744073709551616 where an unsigned 64-bit"},
      {R"({"t":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", "a text where none belongs"},
      {R"({"t":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}})", "true or false"},
      {R"({"t":{"dtype":"F33","shape":[],"data_offsets":[0,4]}})", "has the unknown dtype \"F33\""},
      {R"({"t":{"dtype":"f32","shape":[],"data_offsets":[0,4]}})", "has the unknown dtype \"f32\""},
      {R"({"t":{"dtype":4,"shape":[],"data_offsets":[0,4]}})", "a number where none belongs"},
      {R"({"t":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1}})", "the unknown key \"x\""},
      {R"({"t":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}})", "\"dtype\" twice"},
      {R"({"t":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"t":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
       "\"t\" twice"},
      {R"({"__metadata__":{"a":1}})", "a number where none belongs (at \"__metadata__\")"},
      {R"({"__metadata__":{"a":{}}})", "an object where none belongs"},
      {R"({"__metadata__":{"a":"1","a":"1"}})", "\"a\" twice"},
      {R"({"__metadata__":{},"__metadata__":{}})", "\"__metadata__\" twice"},
      {R"({"__metadata__":[]})", "a list where none belongs"},
  };
  for (const auto& [header, words] : cases)
    refused(safetensors(header, std::string(4, '\0')), "InvalidHeaderDeserialization", words);
}

TEST(Header, SizesAndOffsets) {
  refused(one("F32", "[4294967296,4294967296]", "[0,4]", 4), "ValidationOverflow");
  refused(one("F32", "[9223372036854775808,4,0]", "[0,0]", 0), "ValidationOverflow");
  refused(one("F32", "[1152921504606846976]", "[0,4]", 4), "ValidationOverflow");
  refused(one("F4", "[3]", "[0,1]", 1), "MisalignedSlice");
  refused(one("F6_E2M3", "[2]", "[0,2]", 2), "MisalignedSlice");
  refused(one("F32", "[1]", "[4,8]", 8), "InvalidOffset", "must begin at 0");
  refused(one("F32", "[1]", "[0,18446744073709551615]", 4), "TensorInvalidInfo");
  refused(one("F32", "[0]", "[4,0]", 4), "InvalidOffset");
  refused(one("F32", "[2]", "[0,4]", 4), "TensorInvalidInfo", "(2) of F32 takes 8 bytes, its offsets span 4");
  refused(one("F32", "[1]", "[0,4]", 3), "MetadataIncompleteBuffer");
  refused(one("F32", "[1]", "[0,4]", 5), "MetadataIncompleteBuffer");
  refused(safetensors("{}", "x"), "MetadataIncompleteBuffer");
  const auto two = [](const char* a, const char* b) {
    return safetensors("{" + entry("a", "U8", "[2]", a) + "," + entry("b", "U8", "[2]", b) + "}", std::string(4, '\0'));
  };
  EXPECT_EQ(parsed(two("[2,4]", "[0,2]")).tensors.size(), 2U);
  refused(two("[0,2]", "[0,2]"), "InvalidOffset");
  refused(two("[0,2]", "[1,3]"), "InvalidOffset");
  refused(two("[0,2]", "[3,5]"), "InvalidOffset");
}

/// Every number of a header set to the values at which arithmetic breaks.
TEST(Header, AwkwardNumbers) {
  const char* numbers[] = {"0", "1", "2147483648", "9223372036854775807", "18446744073709551615"};
  int accepted = 0;
  for (const std::string a : numbers)
    for (const std::string b : numbers)
      for (const std::string c : numbers)
        for (const std::string d : numbers) {
          const std::string bytes = one("I64", "[" + a + "," + b + "]", "[" + c + "," + d + "]", 8);
          try {
            const auto header = parsed(bytes);
            EXPECT_EQ(header.tensors.at("t").bytes(), 8U);
            ++accepted;
          } catch (const Error& error) {
            EXPECT_EQ(error.kind(), Kind::data);
          }
        }
  EXPECT_EQ(accepted, 0);  // none of them ends at 8
}

TEST(Header, WhatDownloadsLeaveBehind) {
  refused("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "Git LFS pointer", "git lfs pull");
  refused("<!DOCTYPE html><html><body>404</body></html>", "HTML page");
  refused("\n <html>\n<head><title>Sign in</title></head></html>", "HTML page");
}

/// Bytes flipped, cut and put in at random: an Error or a header whose tensors lie in the file, and nothing else.
TEST(Header, SurvivesDamage) {
  const std::string good = safetensors(R"({"__metadata__":{"format":"pt"},)" + entry("bb", "F32", "[2,1]", "[4,12]") +
                                           "," + entry("a", "BF16", "[2]", "[0,4]") + "}   ",
                                       std::string(12, '\0'));
  const Key key = Key(1).with("damage");
  int accepted = 0;
  for (std::uint64_t round = 0; round < 30000; ++round) {
    const Key own = key.with(round);
    std::string bytes = good;
    const std::uint64_t changes = 1 + own.below(3, 0);
    for (std::uint64_t i = 0; i < changes; ++i) {
      const Key change = own.with(i);
      const auto at = static_cast<std::size_t>(change.below(bytes.size(), 0));
      switch (change.below(4, 1)) {
        case 0:
          bytes[at] = static_cast<char>(change.below(256, 2));
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << change.below(8, 2)));
          break;
        case 2:
          bytes.erase(at, 1 + change.below(4, 2));
          break;
        default:
          bytes.insert(at, 1, "0123456789{}[],:\"-e.\\"[change.below(21, 2)]);
          break;
      }
      if (bytes.empty()) bytes = "x";
    }
    try {
      for (const auto& [name, tensor] : parsed(bytes).tensors) EXPECT_LE(tensor.end, bytes.size());
      ++accepted;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Kind::data);
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_LT(accepted, 15000);
}

}  // namespace
}  // namespace hearth
