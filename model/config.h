// What a model is: the numbers that its mathematics needs, whatever file they came from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace hearth {

enum class Architecture { llama, qwen2, qwen3, mistral };

/// How the rotary angles are stretched for long texts. `rotary_of` (model/rotary.h) turns this into frequencies.
struct Rope {
  enum class Kind { none, linear, llama3, yarn };
  Kind kind = Kind::none;
  double theta = 10000;                     // base of the wavelengths
  double factor = 1;                        // linear, llama3, yarn: by how much the context grew
  double low_frequency_factor = 1;          // llama3
  double high_frequency_factor = 4;         // llama3
  std::int64_t original_max_positions = 0;  // llama3, yarn: the context before it grew
  double beta_fast = 32;                    // yarn: rotations above which nothing is stretched
  double beta_slow = 1;                     // yarn: rotations below which everything is
  std::optional<double> attention_factor;   // yarn: cosines and sines are multiplied by it; derived when absent
  std::optional<double> mscale;             // yarn
  std::optional<double> mscale_all;         // yarn
  bool truncate = true;                     // yarn: the borders of the ramp are whole dims

  bool operator==(const Rope&) const = default;
};

/// A dense decoder of the Llama family. Letters as in DESIGN: D width, F hidden, N heads, K key-value heads, H head
/// width.
struct ModelConfig {
  Architecture architecture = Architecture::llama;
  std::int64_t vocabulary = 0;       // V
  std::int64_t width = 0;            // D
  std::int64_t hidden = 0;           // F
  std::int64_t layers = 0;           // L
  std::int64_t heads = 0;            // N
  std::int64_t key_value_heads = 0;  // K, divides N
  std::int64_t head_width = 0;       // H, even; N * H need not be D
  std::int64_t max_positions = 0;
  float norm_epsilon = 1e-6F;
  bool tied = false;            // the head is the embedding
  bool attention_bias = false;  // query, key and value have biases (the output has none)
  bool query_key_norm = false;  // an RMS norm over each query and key head, before the rotation
  std::int64_t window = 0;      // token i sees tokens i - window + 1 .. i; 0: all before it
  Rope rope;
  float initializer_range = 0.02F;            // standard deviation of fresh weights
  std::vector<std::int64_t> end_tokens;       // eos: any of them ends a text
  std::optional<std::int64_t> begin_token;    // bos
  std::optional<std::int64_t> padding_token;  // pad
  Dtype dtype = Dtype::f32;                   // the dtype that the file says the weights are in
  std::string source_json;                    // the config.json this came from, every key; empty when there was none

  std::int64_t query_width() const { return heads * head_width; }                // N * H
  std::int64_t key_value_width() const { return key_value_heads * head_width; }  // K * H
  /// How many numbers the model has; a tied head counts once.
  std::int64_t parameters() const;
  /// Parameters of one of the L layers.
  std::int64_t layer_parameters() const;
};

/// "llama", "qwen2", "qwen3", "mistral": the `model_type` of config.json.
std::string_view name_of(Architecture architecture);

}  // namespace hearth
