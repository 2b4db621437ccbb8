#include "model/hf/config.h"
#include "model/hf/config_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "expect_error.h"
#include "model/hf/names.h"
#include "model/rotary.h"

namespace hearth {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// A small llama with `more` keys, which begin with a comma.
std::string llama(const std::string& more = "") {
  return R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
             "num_attention_heads": 4, "vocab_size": 100, "max_position_embeddings": 128)" +
         more + "}";
}

ModelConfig parsed(const std::string& text) {
  return hf::parse_config(text, "here");
}

TEST(Config, DefaultsAreThoseOfTransformers) {
  const ModelConfig llama = parsed(R"({"model_type": "llama"})");
  EXPECT_EQ(llama.vocabulary, 32000);
  EXPECT_EQ(llama.width, 4096);
  EXPECT_EQ(llama.hidden, 11008);
  EXPECT_EQ(llama.key_value_heads, 32);
  EXPECT_EQ(llama.head_width, 128);
  EXPECT_EQ(llama.max_positions, 2048);
  EXPECT_EQ(llama.norm_epsilon, 1e-6F);
  EXPECT_EQ(llama.end_tokens, std::vector<std::int64_t>{2});
  EXPECT_EQ(llama.begin_token, 1);
  EXPECT_FALSE(llama.tied);
  EXPECT_EQ(llama.dtype, Dtype::f32);
  EXPECT_EQ(llama.rope, Rope{});

  const ModelConfig qwen2 = parsed(R"({"model_type": "qwen2"})");
  EXPECT_EQ(qwen2.vocabulary, 151936);
  EXPECT_EQ(qwen2.key_value_heads, 32);
  EXPECT_TRUE(qwen2.attention_bias);
  EXPECT_EQ(qwen2.window, 0);
  EXPECT_TRUE(qwen2.end_tokens.empty());
  EXPECT_EQ(qwen2.begin_token, std::nullopt);

  const ModelConfig qwen3 = parsed(R"({"model_type": "qwen3", "hidden_size": 64, "num_key_value_heads": null})");
  EXPECT_EQ(qwen3.head_width, 128);
  EXPECT_EQ(qwen3.key_value_heads, 32);
  EXPECT_TRUE(qwen3.query_key_norm);
  EXPECT_FALSE(qwen3.attention_bias);

  EXPECT_EQ(parsed(R"({"model_type": "mistral"})").window, 4096);
  EXPECT_EQ(parsed(R"({"model_type": "mistral"})").key_value_heads, 8);
  EXPECT_EQ(parsed(R"({"model_type": "mistral", "sliding_window": null})").window, 0);
}

TEST(Config, CountsParameters) {
  // 2 V D + L (2 D N H + 2 D K H + 3 D F + 2 D) + D
  EXPECT_EQ(parsed(llama()).parameters(), 2 * 100 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 96 + 128) + 64);
  std::int64_t sum = 0;
  const ModelConfig qwen = parsed(
      R"({"model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 3, "vocab_size": 10, "intermediate_size": 7,
          "tie_word_embeddings": true})");
  for (const hf::NamedTensor& tensor : hf::expected_tensors(qwen)) sum += tensor.dims.elements();
  EXPECT_EQ(sum, qwen.parameters());
}

TEST(Config, BothSpellingsOfRope) {
  const Rope older = parsed(llama(R"(, "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
             "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32})"))
                         .rope;
  const Rope newer = parsed(llama(R"(, "rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0,
             "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32})"))
                         .rope;
  EXPECT_EQ(older, newer);
  EXPECT_EQ(older.kind, Rope::Kind::llama3);
  EXPECT_EQ(older.theta, 500000);
  EXPECT_EQ(parsed(llama(R"(, "rope_scaling": {"type": "linear", "factor": 2})")).rope.kind, Rope::Kind::linear);
  const Rope yarn = parsed(llama(R"(, "rope_scaling": {"type": "yarn", "original_max_position_embeddings": 32})")).rope;
  EXPECT_EQ(yarn.factor, 4);
}

TEST(Config, KeysThatChangeTheMathematicsAreRefusedByNameAndValue) {
  const std::pair<const char*, const char*> refused[] = {
      {R"(, "attention_bias": true)", "attention_bias is true"},
      {R"(, "mlp_bias": true)", "mlp_bias is true"},
      {R"(, "partial_rotary_factor": 0.5)", "partial_rotary_factor is 0.5"},
      {R"(, "hidden_act": "gelu")", "hidden_act is \"gelu\""},
      {R"(, "layer_types": ["full_attention", "sliding_attention"])", "layer_types is"},
      {R"(, "layer_types": ["full_attention"])", "layer_types is"},
      {R"(, "use_sliding_window": true)", "use_sliding_window is true"},
      {R"(, "rope_scaling": {"type": "dynamic", "factor": 2})", "rope_scaling.type is \"dynamic\""},
      {R"(, "rope_scaling": {"rope_type": "longrope"})", "rope_scaling.rope_type is \"longrope\""},
      {R"(, "rope_scaling": {"short_factor": [1], "long_factor": [2], "type": "longrope"})",
       "rope_scaling.type is \"longrope\""},
      {R"(, "is_causal": false)", "is_causal is false"},
      {R"(, "rope_scaling": {"rope_type": "default", "mrope_section": [1]})", "rope_scaling.mrope_section is [1]"},
      {R"(, "rope_parameters": {"partial_rotary_factor": 0.5})", "rope_parameters.partial_rotary_factor is 0.5"},
      {R"(, "rope_parameters": {"rope_theta": 5}, "rope_theta": 6)", "rope_theta is 6"},
      {R"(, "rope_scaling": {"rope_type": "default", "rope_theta": 5}, "rope_theta": 6)", "rope_theta is 6"},
      {R"(, "rope_scaling": {"rope_type": "llama3", "factor": 2})", "rope_scaling.low_freq_factor is missing"},
      {R"(, "quantization_config": {"quant_method": "fp8"})", "quantization_config is {\"quant_method\":\"fp8\"}"},
      {R"(, "attention_dropout": 0.1)", "attention_dropout is 0.1"},
      {R"(, "architectures": ["LlamaForSequenceClassification"])", "architectures is [\"LlamaForSeq"},
      {R"(, "num_local_experts": 8)", "num_local_experts is 8"},
      {R"(, "torch_dtype": "float64")", "torch_dtype is \"float64\""},
      {R"(, "torch_dtype": "float32", "dtype": "bfloat16")", "dtype is \"bfloat16\""},
  };
  for (const auto& [more, words] : refused)
    EXPECT_THAT(test::refusal([&] { parsed(llama(more)); }), AllOf(HasSubstr("here: "), HasSubstr(words))) << more;
}

TEST(Config, KeysThatNobodyKnowsAreNamed) {
  using ::testing::ElementsAre;
  using ::testing::IsEmpty;
  EXPECT_THAT(hf::unknown_keys(llama(R"(, "clip_qkv": 8, "use_cache": false, "dropout": 0.0, "a b": 1, "top_p": 1)")),
              ElementsAre("clip_qkv", "dropout", "a b"));
  EXPECT_THAT(hf::unknown_keys(llama(R"(, "clip_qkv": null, "is_causal": true)")), IsEmpty());
  EXPECT_THAT(hf::unknown_keys(llama(R"(, "hidden_act hidden_activation": 1)")),
              ElementsAre("hidden_act hidden_activation"));
  // The window of every family but mistral is off only where use_sliding_window stands beside it.
  EXPECT_THAT(hf::unknown_keys(llama(R"(, "sliding_window": 8)")), ElementsAre("sliding_window"));
  EXPECT_THAT(hf::unknown_keys(llama(R"(, "sliding_window": 8, "use_sliding_window": false)")), IsEmpty());
  EXPECT_THAT(hf::unknown_keys(R"({"model_type": "mistral", "sliding_window": 8})"), IsEmpty());
  EXPECT_THAT(hf::unknown_keys(R"({"dropout": 1})"), ElementsAre("dropout"));
  EXPECT_THAT(hf::unknown_keys(R"({"model_type": "gpt2", "n_ctx": 1})"), IsEmpty());
  EXPECT_THAT(hf::unknown_keys("[1"), IsEmpty());
}

/// Everything that hearth writes or refuses by value is a key that it knows.
TEST(Config, WhatIsWrittenIsKnown) {
  for (const char* type : {"llama", "qwen2", "qwen3", "mistral"}) {
    for (const char* rope :
         {R"({"rope_type": "linear", "factor": 2.0})",
          R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32})", "null"}) {
      ModelConfig config =
          parsed(fmt::format(R"({{"model_type": "{}", "rope_scaling": {}, "pad_token_id": 3}})", type, rope));
      EXPECT_THAT(hf::unknown_keys(hf::to_json(config, Dtype::f32)), ::testing::IsEmpty());
      config.source_json.clear();
      EXPECT_THAT(hf::unknown_keys(hf::to_json(config, Dtype::bf16)), ::testing::IsEmpty());
    }
  }
}

TEST(Config, OfASlipTheKeyThatWasMeant) {
  using ::testing::ElementsAre;
  EXPECT_THAT(hf::keys_like("rms_norm_epsilon"), ElementsAre("rms_norm_eps"));
  EXPECT_THAT(hf::keys_like("rope_base"), ElementsAre("rope_parameters", "rope_scaling", "rope_theta"));
  EXPECT_THAT(hf::keys_like("num_layers"), ElementsAre("num_hidden_layers"));
  EXPECT_THAT(hf::keys_like("dropout"), ::testing::IsEmpty());
}

TEST(Config, OtherModelsAreRefused) {
  const auto type = [](const char* name) {
    return test::refusal([&] { parsed(fmt::format(R"({{"model_type": "{}"}})", name)); });
  };
  EXPECT_THAT(type("qwen3_moe"), AllOf(HasSubstr("qwen3_moe"), HasSubstr("not there yet")));
  EXPECT_THAT(type("deepseek_v3"), AllOf(HasSubstr("deepseek_v3"), HasSubstr("not there yet")));
  EXPECT_THAT(type("gpt2"), AllOf(HasSubstr("model_type is \"gpt2\""), HasSubstr("mistral")));
  EXPECT_THAT(test::refusal([] { parsed("{}"); }), HasSubstr("model_type is missing"));
}

TEST(Config, WrongTypesAndRanges) {
  const std::pair<const char*, const char*> refused[] = {
      {R"(, "rms_norm_eps": "1e-5")", "rms_norm_eps is \"1e-5\"; a number"},
      {R"(, "rms_norm_eps": 0)", "rms_norm_eps is 0"},
      {R"(, "tie_word_embeddings": 1)", "tie_word_embeddings is 1; true or false"},
      {R"(, "num_key_value_heads": 3)", "num_key_value_heads is 3"},
      {R"(, "num_key_value_heads": 0)", "num_key_value_heads is 0"},
      {R"(, "num_key_value_heads": 2.0)", "num_key_value_heads is 2.0; an integer"},
      {R"(, "num_key_value_heads": 18446744073709551615)", "num_key_value_heads is 18446744073709551615"},
      {R"(, "head_dim": 7)", "head_dim is 7"},
      {R"(, "head_dim": -2)", "head_dim is -2"},
      {R"(, "eos_token_id": ["a"])", "eos_token_id is"},
      {R"(, "rope_theta": 0)", "rope_theta is 0"},
      {R"(, "hidden_size": 32)", "the key \"hidden_size\" stands there twice"},
  };
  for (const auto& [more, words] : refused)
    EXPECT_THAT(test::refusal([&] { parsed(llama(more)); }), HasSubstr(words)) << more;
  EXPECT_THAT(test::refusal([] { parsed("[]"); }), HasSubstr("an object with keys is expected"));
  EXPECT_THAT(test::refusal([] { parsed("{"); }), HasSubstr("not valid JSON"));
  EXPECT_THAT(test::refusal([] { parsed(llama() + std::string(1, '\0') + "x"); }), HasSubstr("is zero"));
  EXPECT_THAT(test::refusal([] { parsed(std::string(100000, '[')); }), HasSubstr("nested deeper"));
  EXPECT_THAT(test::refusal([] { parsed(R"({"model_type": "llama", "hidden_size": 4611686018427387904})"); }),
              HasSubstr("hidden_size is 4611686018427387904"));
}

TEST(Config, WrittenAgainSaysTheSame) {
  const std::string base =
      llama(R"(, "rope_parameters": {"rope_theta": 5000.0, "rope_type": "default"}, "house": [1, {"x": null}],
                           "rms_norm_eps": 1e-05, "eos_token_id": [5, 6], "dtype": "float32")");
  ModelConfig config = parsed(base);
  const std::string text = hf::to_json(config, Dtype::bf16);
  const ModelConfig again = parsed(text);
  EXPECT_EQ(again.dtype, Dtype::bf16);
  EXPECT_EQ(again.rope, config.rope);
  EXPECT_EQ(again.end_tokens, config.end_tokens);
  EXPECT_THAT(text, AllOf(HasSubstr("\"house\""), HasSubstr("\"torch_dtype\": \"bfloat16\""),
                          HasSubstr("\"dtype\": \"bfloat16\""), HasSubstr("LlamaForCausalLM"),
                          HasSubstr("\"rms_norm_eps\": 1e-05"), ::testing::Not(HasSubstr("rope_scaling"))));
  config.vocabulary = 101;
  config.end_tokens = {7};
  EXPECT_EQ(parsed(hf::to_json(config, Dtype::f32)).vocabulary, 101);
  EXPECT_EQ(parsed(hf::to_json(config, Dtype::f32)).end_tokens, std::vector<std::int64_t>{7});
}

TEST(Config, WrittenWithoutABase) {
  ModelConfig config = parsed(
      R"({"model_type": "mistral", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
          "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "mscale": 0.7},
          "sliding_window": 12, "initializer_range": 0.01})");
  config.source_json.clear();
  ModelConfig again = parsed(hf::to_json(config, Dtype::f32));
  EXPECT_EQ(again.parameters(), config.parameters());
  EXPECT_EQ(again.head_width, 32);
  EXPECT_EQ(again.window, 12);
  EXPECT_EQ(again.rope, config.rope);
  EXPECT_EQ(again.initializer_range, 0.01F);
  EXPECT_EQ(again.begin_token, 1);
  EXPECT_EQ(hf::generation_json(again), "{\n  \"bos_token_id\": 1,\n  \"eos_token_id\": 2\n}\n");
}

TEST(Names, AreThoseOfCheckpoints) {
  using hf::foreign_name;
  EXPECT_EQ(foreign_name("embedding"), "model.embed_tokens.weight");
  EXPECT_EQ(foreign_name("final_norm"), "model.norm.weight");
  EXPECT_EQ(foreign_name("head"), "lm_head.weight");
  EXPECT_EQ(foreign_name("layers.0.attention.norm"), "model.layers.0.input_layernorm.weight");
  EXPECT_EQ(foreign_name("layers.0.attention.query"), "model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(foreign_name("layers.0.attention.key"), "model.layers.0.self_attn.k_proj.weight");
  EXPECT_EQ(foreign_name("layers.0.attention.value"), "model.layers.0.self_attn.v_proj.weight");
  EXPECT_EQ(foreign_name("layers.0.attention.output"), "model.layers.0.self_attn.o_proj.weight");
  EXPECT_EQ(foreign_name("layers.0.attention.query_bias"), "model.layers.0.self_attn.q_proj.bias");
  EXPECT_EQ(foreign_name("layers.0.attention.value_bias"), "model.layers.0.self_attn.v_proj.bias");
  EXPECT_EQ(foreign_name("layers.0.attention.query_norm"), "model.layers.0.self_attn.q_norm.weight");
  EXPECT_EQ(foreign_name("layers.0.attention.key_norm"), "model.layers.0.self_attn.k_norm.weight");
  EXPECT_EQ(foreign_name("layers.0.mlp.norm"), "model.layers.0.post_attention_layernorm.weight");
  EXPECT_EQ(foreign_name("layers.0.mlp.gate"), "model.layers.0.mlp.gate_proj.weight");
  EXPECT_EQ(foreign_name("layers.0.mlp.up"), "model.layers.0.mlp.up_proj.weight");
  EXPECT_EQ(foreign_name("layers.0.mlp.down"), "model.layers.0.mlp.down_proj.weight");
}

TEST(Names, BothWays) {
  for (const char* text :
       {R"({"model_type": "qwen2", "num_hidden_layers": 12})", R"({"model_type": "qwen3", "num_hidden_layers": 2})"}) {
    for (const hf::NamedTensor& tensor : hf::expected_tensors(parsed(text))) {
      EXPECT_EQ(hf::foreign_name(tensor.name), tensor.foreign);
      EXPECT_EQ(hf::hearth_name(tensor.foreign), tensor.name);
    }
  }
  EXPECT_EQ(hf::foreign_name("layers.11.attention.key_bias"), "model.layers.11.self_attn.k_proj.bias");
  test::refusal([] { hf::foreign_name("layers..mlp.up"); }, Kind::internal);
  test::refusal([] { hf::hearth_name("model.layers.1x.mlp.up_proj.weight"); }, Kind::internal);
}

TEST(Rotary, Default) {
  const Rotary rotary = rotary_of(parsed(llama(R"(, "head_dim": 4)")));
  EXPECT_EQ(rotary.inverse_frequency, (std::vector<float>{1.0F, 0.01F}));
  EXPECT_EQ(rotary.attention_factor, 1);
}

TEST(Rotary, LinearDividesByTheFactor) {
  const Rotary rotary = rotary_of(parsed(llama(R"(, "head_dim": 4, "rope_scaling": {"type": "linear", "factor": 8})")));
  EXPECT_EQ(rotary.inverse_frequency, (std::vector<float>{0.125F, 0.00125F}));
}

/// The three regions of llama3 scaling, from the formula in real numbers.
TEST(Rotary, Llama3) {
  const ModelConfig config = parsed(llama(R"(, "head_dim": 16, "rope_theta": 10000.0, "rope_scaling": {
      "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 64})"));
  const Rotary rotary = rotary_of(config);
  int regions[3] = {};
  for (int j = 0; j < 8; ++j) {
    const double plain = std::pow(10000.0, -j / 8.0);
    const double turns = 64 * plain / (2 * M_PI);  // over the old context
    double expected = plain;
    if (turns < 1) {
      expected = plain / 8;
    } else if (turns <= 4) {
      const double smooth = (turns - 1) / 3;
      expected = (1 - smooth) * plain / 8 + smooth * plain;
    }
    ++regions[turns < 1 ? 0 : turns <= 4 ? 1 : 2];
    EXPECT_NEAR(rotary.inverse_frequency[static_cast<std::size_t>(j)], expected, 1e-6 * expected) << j;
  }
  for (const int count : regions) EXPECT_GT(count, 0);
}

TEST(Rotary, Yarn) {
  const auto yarn = [](const std::string& more) {
    return rotary_of(parsed(llama(R"(, "head_dim": 32, "rope_scaling": {"type": "yarn", "factor": 4.0,
                                  "original_max_position_embeddings": 512)" +
                                  more + "}")));
  };
  const Rotary rotary = yarn("");
  // dim(r) = H ln(512 / (2 pi r)) / (2 ln 10000): dim(32) = 1.62 -> 1, dim(1) = 7.64 -> 8.
  for (int j = 0; j < 16; ++j) {
    const double plain = std::pow(10000.0, -j / 16.0);
    const double ramp = std::clamp((j - 1) / 7.0, 0.0, 1.0);
    const double expected = plain / 4 * ramp + plain * (1 - ramp);
    EXPECT_NEAR(rotary.inverse_frequency[static_cast<std::size_t>(j)], expected, 1e-6 * expected) << j;
  }
  EXPECT_DOUBLE_EQ(rotary.attention_factor, 0.1 * std::log(4.0) + 1);
  EXPECT_DOUBLE_EQ(yarn(R"(, "attention_factor": 1.5)").attention_factor, 1.5);
  EXPECT_DOUBLE_EQ(yarn(R"(, "mscale": 2.0, "mscale_all_dim": 1.0)").attention_factor,
                   (0.2 * std::log(4.0) + 1) / (0.1 * std::log(4.0) + 1));
  EXPECT_NE(yarn(R"(, "truncate": false)").inverse_frequency, rotary.inverse_frequency);
  EXPECT_NE(yarn(R"(, "beta_fast": 8)").inverse_frequency, rotary.inverse_frequency);
}

/// With so short a base the ramp would end beyond the last dim: it ends at H - 1 then, and begins at 0 at the earliest.
TEST(Rotary, YarnKeepsTheRampWithinTheHead) {
  const Rotary rotary = rotary_of(parsed(
      llama(R"(, "head_dim": 32, "rope_theta": 10.0, "rope_scaling": {"type": "yarn", "factor": 4.0, "beta_fast": 6000,
            "original_max_position_embeddings": 32768})")));
  for (int j = 0; j < 16; ++j) {
    const double plain = std::pow(10.0, -j / 16.0);
    const double expected = plain / 4 * (j / 31.0) + plain * (1 - j / 31.0);
    EXPECT_NEAR(rotary.inverse_frequency[static_cast<std::size_t>(j)], expected, 1e-6 * expected) << j;
  }
}

/// To the bit what transformers 5.23.0 with torch 2.15.0 makes of these two configs (on a machine with AVX-512).
TEST(Rotary, BitsOfTransformers) {
  const Rotary llama3 = rotary_of(parsed(
      R"({"model_type": "llama", "head_dim": 16, "max_position_embeddings": 512, "rope_theta": 500000.0,
          "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                           "original_max_position_embeddings": 32}})"));
  EXPECT_EQ(llama3.inverse_frequency,
            (std::vector<float>{0x1p+0F, 0x1.8d276p-6F, 0x1.34119p-8F, 0x1.ddee9ep-11F, 0x1.72ba42p-13F, 0x1.1f91fp-15F,
                                0x1.be2188p-18F, 0x1.5a0f4ep-20F}));
  const Rotary yarn = rotary_of(parsed(
      R"({"model_type": "qwen2", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 1,
          "max_position_embeddings": 128, "rope_theta": 1000000.0,
          "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}})"));
  EXPECT_EQ(yarn.inverse_frequency,
            (std::vector<float>{0x1p+0F, 0x1.6c310ep-5F, 0x1.030dc6p-7F, 0x1.708938p-10F, 0x1.0624dep-12F,
                                0x1.74eea6p-15F, 0x1.094564p-17F, 0x1.796182p-20F}));
  EXPECT_EQ(yarn.attention_factor, 1.138629436111989);
}

}  // namespace
}  // namespace hearth
