#include "model/config.h"

namespace hearth {

std::int64_t ModelConfig::layer_parameters() const {
  const std::int64_t products = width * (2 * query_width() + 2 * key_value_width()) + 3 * width * hidden;
  const std::int64_t biases = attention_bias ? query_width() + 2 * key_value_width() : 0;
  const std::int64_t norms = 2 * width + (query_key_norm ? 2 * head_width : 0);
  return products + biases + norms;
}

std::int64_t ModelConfig::parameters() const {
  return vocabulary * width * (tied ? 1 : 2) + layers * layer_parameters() + width;
}

std::string_view name_of(Architecture architecture) {
  switch (architecture) {
    case Architecture::llama:
      return "llama";
    case Architecture::qwen2:
      return "qwen2";
    case Architecture::qwen3:
      return "qwen3";
    case Architecture::mistral:
      return "mistral";
  }
  return "unknown";
}

}  // namespace hearth
