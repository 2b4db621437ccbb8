// config.json of Hugging Face checkpoints: read, and written back.
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"
#include "model/config.h"

namespace hearth::hf {

/// The model that a config.json (or the one in a model folder) describes. Throws Kind::data, naming file, key and
/// value.
ModelConfig read_config(const Path& folder_or_file);

/// The same from text; `where` names it in messages. The text may also be the `model_config` of a recipe: the keys are
/// those of config.json.
///
/// Both spellings of the rotary settings are read: `rope_theta` with `rope_scaling` (`type` or `rope_type`), and
/// `rope_parameters`; where a file has both they must agree. A key that is absent or null has the default that
/// transformers gives it for this model_type. A key that would change the mathematics in a way that hearth does not do
/// is refused by name and value: another model_type or class, attention_bias and mlp_bias, partial_rotary_factor,
/// hidden_act, layer_types, use_sliding_window, is_causal, dynamic and longrope scaling, dropout, experts, soft caps,
/// quantization_config. Other unknown keys are kept in source_json (config_keys.h names them). Sizes are bounded, so that products of them fit 64
/// bits; duplicate keys, numbers of a wrong type and files above 1 MiB are refused.
ModelConfig parse_config(std::string_view json_text, const std::string& where);

/// The text of a config.json for this model with weights in `dtype`: source_json with every key kept, but for those
/// that the fields of `config` now contradict; what it leaves to defaults is spelled out. Never empty of
/// `architectures`, `model_type` and `torch_dtype`. REQUIRES: dtype is f32, bf16 or f16.
std::string to_json(const ModelConfig& config, Dtype dtype);

/// The text of a generation_config.json that says the begin, end and padding tokens and nothing else.
std::string generation_json(const ModelConfig& config);

/// "float32", "bfloat16", "float16". REQUIRES: one of these three.
std::string_view torch_name(Dtype dtype);

}  // namespace hearth::hf
