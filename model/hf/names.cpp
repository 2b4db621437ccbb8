#include "model/hf/names.h"

#include <array>
#include <utility>

namespace hearth::hf {

namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array<Pair, 3> outside = {{
    {"embedding", "model.embed_tokens.weight"},
    {"final_norm", "model.norm.weight"},
    {"head", "lm_head.weight"},
}};

constexpr std::array<Pair, 14> inside = {{
    {"attention.norm", "input_layernorm.weight"},
    {"attention.query", "self_attn.q_proj.weight"},
    {"attention.key", "self_attn.k_proj.weight"},
    {"attention.value", "self_attn.v_proj.weight"},
    {"attention.query_bias", "self_attn.q_proj.bias"},
    {"attention.key_bias", "self_attn.k_proj.bias"},
    {"attention.value_bias", "self_attn.v_proj.bias"},
    {"attention.query_norm", "self_attn.q_norm.weight"},
    {"attention.key_norm", "self_attn.k_norm.weight"},
    {"attention.output", "self_attn.o_proj.weight"},
    {"mlp.norm", "post_attention_layernorm.weight"},
    {"mlp.gate", "mlp.gate_proj.weight"},
    {"mlp.up", "mlp.up_proj.weight"},
    {"mlp.down", "mlp.down_proj.weight"},
}};

constexpr std::string_view layers = "layers.";
constexpr std::string_view foreign_layers = "model.layers.";

/// "7.attention.query" -> ("7", "attention.query"), or two empty texts.
Pair split_layer(std::string_view rest) {
  const std::size_t digits = rest.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos || rest[digits] != '.') return {};
  return {rest.substr(0, digits), rest.substr(digits + 1)};
}

}  // namespace

std::string foreign_name(std::string_view name) {
  for (const auto& [ours, theirs] : outside)
    if (name == ours) return std::string(theirs);
  if (name.starts_with(layers)) {
    const auto [layer, part] = split_layer(name.substr(layers.size()));
    for (const auto& [ours, theirs] : inside)
      if (part == ours) return fmt::format("{}{}.{}", foreign_layers, layer, theirs);
  }
  fail(Kind::internal, "no Hugging Face name is known for the parameter {}", name);
}

std::string hearth_name(std::string_view foreign) {
  for (const auto& [ours, theirs] : outside)
    if (foreign == theirs) return std::string(ours);
  if (foreign.starts_with(foreign_layers)) {
    const auto [layer, part] = split_layer(foreign.substr(foreign_layers.size()));
    for (const auto& [ours, theirs] : inside)
      if (part == theirs) return fmt::format("{}{}.{}", layers, layer, ours);
  }
  fail(Kind::internal, "no parameter of hearth has the Hugging Face name {}", foreign);
}

std::vector<NamedTensor> expected_tensors(const ModelConfig& config) {
  std::vector<NamedTensor> tensors;
  const auto add = [&tensors](const std::string& name, Dims dims) {
    tensors.push_back({name, foreign_name(name), dims});
  };
  const std::int64_t d = config.width;
  const std::int64_t query = config.query_width();
  const std::int64_t key = config.key_value_width();
  add("embedding", {config.vocabulary, d});
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const std::string attention = fmt::format("layers.{}.attention.", i);
    add(attention + "norm", {d});
    add(attention + "query", {query, d});
    add(attention + "key", {key, d});
    add(attention + "value", {key, d});
    if (config.attention_bias) {
      add(attention + "query_bias", {query});
      add(attention + "key_bias", {key});
      add(attention + "value_bias", {key});
    }
    if (config.query_key_norm) {
      add(attention + "query_norm", {config.head_width});
      add(attention + "key_norm", {config.head_width});
    }
    add(attention + "output", {d, query});
    const std::string mlp = fmt::format("layers.{}.mlp.", i);
    add(mlp + "norm", {d});
    add(mlp + "gate", {config.hidden, d});
    add(mlp + "up", {config.hidden, d});
    add(mlp + "down", {d, config.hidden});
  }
  add("final_norm", {d});
  if (!config.tied) add("head", {config.vocabulary, d});
  return tensors;
}

}  // namespace hearth::hf
