#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "bytes.h"
#include "expect_error.h"
#include "model/hf/config.h"
#include "model/hf/inspect.h"
#include "model/hf/names.h"
#include "model/hf/safetensors_writer.h"
#include "model/hf/weight_digest.h"
#include "model/hf/weight_files.h"
#include "support/shared.h"

namespace hearth {
namespace {

using hf::Stored;
using hf::TensorPlan;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Values that differ by tensor and index and that bf16 holds exactly.
float value_of(const std::string& name, std::int64_t index) {
  return static_cast<float>((static_cast<std::int64_t>(name.size()) * 31 + name.back() + index) % 128) - 64;
}

void fill_values(const std::string& name, std::int64_t begin, std::int64_t end, float* out) {
  for (std::int64_t i = begin; i < end; ++i) out[i - begin] = value_of(name, i);
}

ModelConfig small_config(const std::string& more = "") {
  return hf::parse_config(R"({"model_type": "llama", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
                              "num_attention_heads": 2, "vocab_size": 10)" +
                              more + "}",
                          "small");
}

std::vector<TensorPlan> plans(const ModelConfig& config, Stored dtype) {
  std::vector<TensorPlan> tensors;
  for (const hf::NamedTensor& tensor : hf::expected_tensors(config)) {
    TensorPlan plan{tensor.foreign, dtype, {}};
    for (int i = 0; i < tensor.dims.count; ++i) plan.dims.push_back(static_cast<std::uint64_t>(tensor.dims[i]));
    tensors.push_back(plan);
  }
  return tensors;
}

void write_model(const Path& folder, const ModelConfig& config, Stored dtype, std::uint64_t shard_bytes) {
  make_folder(folder);
  write_file(folder / "config.json", hf::to_json(config, *hf::dtype_of(dtype)));
  hf::write_weights(folder, hf::plan_shards(plans(config, dtype), shard_bytes), fill_values, 7);
}

TEST(Safetensors, ReadsRangesOfEveryFloat) {
  const test::Folder folder;
  const Path path = folder.path() / "x.safetensors";
  const std::vector<float> values = {0.0F, -0.0F, 1.5F, -65504.0F, 6.1035e-5F, std::numeric_limits<float>::infinity()};
  for (const Stored dtype : {Stored::f32, Stored::f16, Stored::bf16}) {
    hf::SafetensorsWriter writer(path, {{"odd", Stored::u8, {3}}, {"t", dtype, {2, 3}}});
    writer.append_f32(values.data(), 4);
    writer.append_f32(values.data() + 4, 2);
    writer.append("abc", 3);
    writer.commit();
    const hf::SafetensorsFile file(path);
    EXPECT_EQ(file.info("t").dtype, dtype);
    float out[6] = {};
    file.read_f32("t", 1, 5, out);
    for (std::size_t i = 1; i < 5; ++i) {
      const float expected = dtype == Stored::bf16  ? static_cast<float>(Bf16(values[i]))
                             : dtype == Stored::f16 ? static_cast<float>(F16(values[i]))
                                                    : values[i];
      EXPECT_EQ(std::bit_cast<std::uint32_t>(out[i - 1]), std::bit_cast<std::uint32_t>(expected));
    }
    EXPECT_EQ(static_cast<char>(file.bytes("odd")[2]), 'c');
    EXPECT_THAT(test::refusal([&] { file.read_f32("odd", 0, 1, out); }), AllOf(HasSubstr("odd"), HasSubstr("U8")));
    EXPECT_THAT(test::refusal([&] { file.info("none"); }), HasSubstr("no tensor none"));
    test::refusal([&] { file.read_f32("t", 0, 7, out); }, Kind::internal);
  }
}

/// The very bytes, so that other readers need no goodwill: wide types first, then names, header padded to 8.
TEST(Safetensors, WritesTheBytesOfTheFormat) {
  const test::Folder folder;
  const Path path = folder.path() / "x.safetensors";
  hf::SafetensorsWriter writer(path, {{"b", Stored::bf16, {1}}, {"z", Stored::f32, {}}, {"a", Stored::bf16, {1, 1}}},
                               {{"format", "pt"}});
  EXPECT_EQ(writer.order().front().name, "z");
  const float values[] = {1.0F, 2.0F, 3.0F};
  for (const float& value : values) writer.append_f32(&value, 1);
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.commit();
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"z":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("a":{"dtype":"BF16","shape":[1,1],"data_offsets":[4,6]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[6,8]}})";
  std::string padded = header;
  while (padded.size() % 8 != 0) padded += ' ';
  using namespace std::string_literals;
  EXPECT_EQ(read_text(path), test::safetensors(padded, "\0\0\x80\x3f\0\x40\x40\x40"s));
}

TEST(Safetensors, WriterHoldsItsPromises) {
  const test::Folder folder;
  const Path path = folder.path() / "x.safetensors";
  test::refusal([&] { hf::SafetensorsWriter(path, {{"a", Stored::f32, {1}}, {"a", Stored::bf16, {1}}}); });
  test::refusal([&] { hf::SafetensorsWriter(path, {{"a", Stored::f32, {1ULL << 62, 4}}}); });
  EXPECT_THAT(test::refusal([&] {
                hf::SafetensorsWriter(path, {{std::string(100'000'000, 'a'), Stored::f32, {1}}});
              }),
              HasSubstr("HeaderTooLarge"));
  {
    hf::SafetensorsWriter writer(path, {{"a", Stored::f32, {2}}});
    const float values[3] = {};
    test::refusal([&] { writer.append_f32(values, 3); }, Kind::internal);
    test::refusal([&] { writer.commit(); }, Kind::internal);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Safetensors, FilesThatChangeAreRefusedNotReadAway) {
  const test::Folder folder;
  const Path path = folder.path() / "x.safetensors";
  const std::string big(1 << 16, '\1');
  write_file(path, test::safetensors(R"({"t":{"dtype":"U8","shape":[65536],"data_offsets":[0,65536]}})", big));
  const hf::SafetensorsFile replaced(path);
  write_file(path, test::safetensors(R"({"t":{"dtype":"U8","shape":[65536],"data_offsets":[0,65536]}})", big));
  EXPECT_EQ(replaced.bytes("t").back(), std::byte{1});  // a rename leaves the mapped one alone
  const hf::SafetensorsFile shortened(path);
  std::filesystem::resize_file(path, 100);
  EXPECT_THAT(test::refusal([&] { shortened.bytes("t"); }), HasSubstr("was changed"));
  test::refusal([&] { hf::SafetensorsFile again(path); });
}

TEST(Shards, AreDealtInOrderAndNeverSplitATensor) {
  const std::vector<TensorPlan> tensors = {{"a", Stored::f32, {4}},
                                           {"b", Stored::f32, {4}},
                                           {"c", Stored::f32, {9}},
                                           {"d", Stored::bf16, {1}},
                                           {"e", Stored::f32, {7}}};
  const auto shards = hf::plan_shards(tensors, 32);
  ASSERT_EQ(shards.size(), 3U);
  EXPECT_EQ(shards[0].file, "model-00001-of-00003.safetensors");
  EXPECT_EQ(shards[0].tensors.size(), 2U);
  EXPECT_EQ(shards[1].tensors.front().name, "c");  // larger than a shard
  EXPECT_EQ(shards[2].tensors.front().name, "e");  // wide types first within a file
  EXPECT_EQ(hf::plan_shards(tensors).front().file, "model.safetensors");
  EXPECT_EQ(hf::plan_shards(tensors, 98).size(), 1U);
  EXPECT_EQ(hf::plan_shards(tensors, 97).size(), 2U);
}

TEST(Shards, ReadBackWhatWasWritten) {
  const test::Folder folder;
  const ModelConfig config = small_config();
  write_model(folder.path() / "one", config, Stored::bf16, hf::usual_shard_bytes);
  write_model(folder.path() / "many", config, Stored::bf16, 300);
  const hf::WeightFiles one(folder.path() / "one");
  const hf::WeightFiles many(folder.path() / "many");
  EXPECT_EQ(one.files().size(), 1U);
  EXPECT_EQ(one.files()[0]->metadata().at("format"), "pt");
  EXPECT_GT(many.files().size(), 3U);
  hf::check_complete(one, config);
  hf::check_complete(many, config);
  EXPECT_EQ(one.names(), many.names());
  for (const std::string& name : one.names()) {
    const auto elements = static_cast<std::int64_t>(one.info(name).elements());
    std::vector<float> values(static_cast<std::size_t>(elements));
    many.read_f32(name, 0, elements, values.data());
    for (std::int64_t i = 0; i < elements; ++i) ASSERT_EQ(values[static_cast<std::size_t>(i)], value_of(name, i));
  }
  EXPECT_EQ(hf::digest_of(one), hf::digest_of(many));
  EXPECT_THAT(read_text(folder.path() / "many/model.safetensors.index.json"),
              HasSubstr(fmt::format("\"total_size\": {}", 2 * config.parameters())));
  EXPECT_THAT(test::refusal([&] { hf::write_weights(folder.path() / "one", hf::plan_shards({}), fill_values); }),
              HasSubstr("already holds weights"));
}

class Index : public ::testing::Test {
 protected:
  Index() {
    write_file(folder_.path() / "a.safetensors", tensor("a"));
    write_file(folder_.path() / "b.safetensors", tensor("b"));
  }
  static std::string tensor(const std::string& name) {
    return test::safetensors(fmt::format(R"({{"{}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}})", name), "x");
  }
  std::string refused(const std::string& map) {
    write_file(folder_.path() / "model.safetensors.index.json", map);
    return test::refusal([&] { hf::WeightFiles files(folder_.path()); });
  }
  test::Folder folder_;
};

TEST_F(Index, NamesFilesOfThisFolderThatHaveTheTensors) {
  write_file(folder_.path() / "model.safetensors.index.json",
             R"({"metadata":{},"weight_map":{"a":"a.safetensors","b":"b.safetensors"}})");
  EXPECT_THAT(hf::WeightFiles(folder_.path()).names(), ElementsAre("a", "b"));
  EXPECT_THAT(refused(R"({"weight_map":{"a":"a.safetensors","c":"b.safetensors"}})"),
              HasSubstr("\"c\" is said to be in"));
  EXPECT_THAT(refused(R"({"weight_map":{"a":"a.safetensors"}, "x":1, "x":2})"), HasSubstr("twice"));
  EXPECT_THAT(refused(R"({"weight_map":{"a":"c.safetensors"}})"), HasSubstr("c.safetensors"));
  EXPECT_THAT(refused(R"({"weight_map":{"a":3}})"), HasSubstr("\"a\" is said to be in 3"));
  EXPECT_THAT(refused(R"({"weight_map":[]})"), HasSubstr("weight_map"));
  EXPECT_THAT(refused("{}"), HasSubstr("weight_map"));
  for (const char* name : {"../a.safetensors", "/a.safetensors", "x/a.safetensors", "", ".a.safetensors", "a.bin", "..",
                           "x\\\\a.safetensors"})
    EXPECT_THAT(refused(fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", name)), HasSubstr("in this folder is expected"))
        << name;
}

TEST_F(Index, KnowsEveryTensorOfItsFiles) {
  write_file(folder_.path() / "b.safetensors",
             test::safetensors(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                                   "stray":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                               "xy"));
  EXPECT_THAT(refused(R"({"weight_map":{"a":"a.safetensors","b":"b.safetensors"}})"),
              AllOf(HasSubstr("stray"), HasSubstr("the index does not say so")));
}

TEST_F(Index, FoldersWithoutOneFormOfWeights) {
  EXPECT_THAT(test::refusal([&] { hf::WeightFiles files(folder_.path()); }), HasSubstr("neither"));
  write_file(folder_.path() / "pytorch_model.bin", "x");
  EXPECT_THAT(test::refusal([&] { hf::WeightFiles files(folder_.path()); }), HasSubstr("pytorch_model.bin"));
  write_file(folder_.path() / "model.safetensors", tensor("a"));
  EXPECT_THAT(refused(R"({"weight_map":{"a":"a.safetensors"}})"), HasSubstr("has both"));
  EXPECT_THAT(test::refusal([&] { hf::WeightFiles files(folder_.path() / "none"); }), HasSubstr("does not exist"));
}

/// A folder of a small tied model with these tensors besides, or instead.
class Complete : public ::testing::Test {
 protected:
  std::string refused(std::vector<TensorPlan> tensors, const ModelConfig& config) {
    write(std::move(tensors));
    return test::refusal([&] { hf::check_complete(hf::WeightFiles(path_), config); });
  }
  void write(std::vector<TensorPlan> tensors) {
    std::filesystem::remove_all(path_);
    make_folder(path_);
    hf::write_weights(path_, hf::plan_shards(tensors),
                      [](const std::string& name, std::int64_t begin, std::int64_t end, float* out) {
                        fill_values(name == "lm_head.weight" ? "model.embed_tokens.weight" : name, begin, end, out);
                      });
  }
  const ModelConfig tied_ = small_config(R"(, "tie_word_embeddings": true)");
  test::Folder folder_;
  Path path_ = folder_.path() / "model";
};

TEST_F(Complete, NothingMissingNothingExtraNoOtherShape) {
  auto tensors = plans(tied_, Stored::f32);
  write(tensors);
  hf::check_complete(hf::WeightFiles(path_), tied_);
  EXPECT_THAT(refused(tensors, small_config()), AllOf(HasSubstr("missing"), HasSubstr("lm_head.weight")));

  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", Stored::f32, {2}});
  write(tensors);
  hf::check_complete(hf::WeightFiles(path_), tied_);
  tensors.back().name = "model.layers.2.mlp.up_proj.weight";
  EXPECT_THAT(refused(tensors, tied_), AllOf(HasSubstr("unknown"), HasSubstr("model.layers.2.mlp.up_proj.weight")));

  tensors = plans(tied_, Stored::f32);
  tensors[2].dims = {4, 16};
  tensors[3].dtype = Stored::bf16;
  EXPECT_THAT(refused(tensors, tied_), HasSubstr("model.layers.0.self_attn.q_proj.weight is (4, 16), not (8, 8)"));
  tensors.erase(tensors.begin() + 1);
  EXPECT_THAT(refused(tensors, tied_), AllOf(HasSubstr("wrong"), HasSubstr("missing: model.layers.0.input_layernorm")));
}

TEST_F(Complete, AStoredTiedHeadMustEqualTheEmbedding) {
  auto tensors = plans(tied_, Stored::f32);
  tensors.push_back({"lm_head.weight", Stored::bf16, {10, 8}});
  write(tensors);
  hf::check_complete(hf::WeightFiles(path_), tied_);  // equal values, though in another dtype
  std::string bytes = read_text(path_ / "model.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);  // the head, narrowest, is last
  write_file(path_ / "model.safetensors", bytes);
  EXPECT_THAT(test::refusal([&] { hf::check_complete(hf::WeightFiles(path_), tied_); }),
              AllOf(HasSubstr("tie_word_embeddings is true"), HasSubstr("lm_head.weight")));
}

TEST(Digest, IsOfTheBytesItSaysItIs) {
  const float values[] = {1.0F, -2.0F};
  hf::WeightDigest digest;
  const std::uint64_t row[] = {1, 2};
  digest.begin("a", Stored::bf16, row);
  digest.add({values, 1});
  digest.add({values + 1, 1});
  digest.begin("b", Stored::u8, Dims{1});
  const std::byte byte{7};
  digest.add_bytes({&byte, 1});
  using namespace std::string_literals;
  EXPECT_EQ(digest.hex(), sha384("a\0BF16\0"s
                                 "1,2\0"s
                                 "\0\0\x80\x3f\0\0\0\xc0"s
                                 "b\0U8\0"s
                                 "1\0\x07"s));
  hf::WeightDigest wrong;
  wrong.begin("b", Stored::f32, Dims{1});
  test::refusal([&] { wrong.begin("c", Stored::f32, Dims{1}); }, Kind::internal);
  wrong.add({values, 1});
  test::refusal([&] { wrong.begin("a", Stored::f32, Dims{1}); }, Kind::internal);
  test::refusal([&] { wrong.add({values, 1}); }, Kind::internal);
}

TEST(Inspect, DescribesAModelFolder) {
  const test::Folder folder;
  const ModelConfig config = small_config(R"(, "tie_word_embeddings": true)");
  write_model(folder.path() / "m", config, Stored::bf16, 400);
  const hf::Described described = hf::describe(folder.path() / "m");
  EXPECT_EQ(described.parameters, static_cast<std::uint64_t>(config.parameters()));
  EXPECT_EQ(described.bytes, 2 * described.parameters);
  EXPECT_THAT(hf::to_text(described, true),
              AllOf(HasSubstr("llama"), HasSubstr("tied"), HasSubstr("BF16"), HasSubstr(described.digest),
                    HasSubstr("model.layers.1.mlp.up_proj.weight  BF16  (12, 8)")));
  write_file(folder.path() / "m/config.json", hf::to_json(small_config(R"(, "head_dim": 2)"), Dtype::bf16));
  EXPECT_THAT(test::refusal([&] { hf::describe(folder.path() / "m"); }), HasSubstr("do not fit the config"));
}

}  // namespace
}  // namespace hearth
