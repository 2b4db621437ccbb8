// What an export does not keep: files that give other logits than the checkpoint.
#include "launch/export_hf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support/shared.h"

namespace hearth {
namespace {

/// Makes one weight of the file `times` what it is, in the two bytes (f16, bf16) or the upper two (f32) of the last element.
void scale_last(const Path& file, Dtype dtype, float times) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  const auto turned = [&](auto element) {
    stream.seekg(-static_cast<std::streamoff>(sizeof element), std::ios::end);
    stream.read(reinterpret_cast<char*>(&element), sizeof element);
    element = decltype(element)(static_cast<float>(element) * times);
    stream.seekp(-static_cast<std::streamoff>(sizeof element), std::ios::end);
    stream.write(reinterpret_cast<const char*>(&element), sizeof element);
  };
  if (dtype == Dtype::f32) return turned(0.0F);
  if (dtype == Dtype::bf16) return turned(Bf16(0));
  turned(F16(0));
}

class Export : public testing::TestWithParam<Dtype> {
 protected:
  /// Exports a known model, one weight of which turns out so many times as large.
  std::string text_of(float times) {
    Environment environment;
    ExportOptions options;
    options.dtype = GetParam();
    options.load.threads = 1;
    options.written = [&](const Path& folder) { scale_last(folder / "model.safetensors", GetParam(), times); };
    try {
      export_hf(test::data() / "golden/models/llama-gqa", folder_.path() / "new", options, environment);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Kind::validation) << error.text();
      EXPECT_TRUE(std::filesystem::is_empty(folder_.path())) << "nothing was kept";
      return error.text();
    }
    EXPECT_TRUE(std::filesystem::exists(folder_.path() / "new" / "hearth_export.json"));
    return "";
  }

  test::Folder folder_;
};

TEST_P(Export, IsNotKeptWhereItGivesOtherLogits) {
  EXPECT_THAT(text_of(4), testing::HasSubstr("do not give the checkpoint's logits: off by"));
  EXPECT_THAT(text_of(-1), testing::HasSubstr("do not give the checkpoint's logits: off by"));
  EXPECT_EQ(text_of(1), "");
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Export, testing::Values(Dtype::f32, Dtype::bf16, Dtype::f16),
                         [](const auto& dtype) { return std::string(name_of(dtype.param)); });

}  // namespace
}  // namespace hearth
