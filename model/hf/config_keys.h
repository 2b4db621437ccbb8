// Which keys of a config.json mean something here, which are harmless, and which nobody knows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth::hf {

/// Keys of this config.json that hearth neither reads nor knows to leave the mathematics alone, in the order of the file.
/// A key that is null counts as absent. What is no JSON object, or of a model_type that hearth does not read, has none: it
/// is refused for that. Keys inside rope_scaling and rope_parameters are parse_config's to judge.
std::vector<std::string> unknown_keys(std::string_view json_text);

/// The keys that say something about a model.
const std::vector<std::string>& spoken_keys();

/// Those of them that share the most words with `key` ("rms_norm_epsilon": rms_norm_eps), half of its words at least.
std::vector<std::string> keys_like(std::string_view key);

}  // namespace hearth::hf
