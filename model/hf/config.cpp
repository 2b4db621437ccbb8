#include "model/hf/config.h"

#include <array>

#include "base/error.h"
#include "model/hf/json.h"
#include "model/hf/rope.h"

namespace hearth::hf {

namespace {

constexpr std::size_t most_bytes = std::size_t{1} << 20;

/// What transformers assumes for a key that config.json leaves out.
struct Defaults {
  Architecture architecture;
  std::string_view model_type;
  std::string_view class_name;
  std::int64_t vocabulary;
  std::int64_t hidden;
  std::int64_t key_value_heads;  // 0: as many as heads
  std::int64_t head_width;       // 0: width / heads
  std::int64_t max_positions;
  std::int64_t begin_token;  // -1: none
  std::int64_t end_token;    // -1: none
};

constexpr std::array<Defaults, 4> families = {{
    {Architecture::llama, "llama", "LlamaForCausalLM", 32000, 11008, 0, 0, 2048, 1, 2},
    {Architecture::qwen2, "qwen2", "Qwen2ForCausalLM", 151936, 22016, 32, 0, 32768, -1, -1},
    {Architecture::qwen3, "qwen3", "Qwen3ForCausalLM", 151936, 22016, 32, 128, 32768, -1, -1},
    {Architecture::mistral, "mistral", "MistralForCausalLM", 32000, 14336, 8, 0, 131072, 1, 2},
}};
constexpr std::int64_t default_width = 4096;
constexpr std::int64_t default_layers = 32;
constexpr std::int64_t default_heads = 32;
constexpr std::int64_t default_window = 4096;

const Defaults& family_of(const Fields& fields) {
  const auto type = fields.text("model_type");
  constexpr auto known = "hearth knows llama, qwen2, qwen3 and mistral";
  if (!type) fields.miss("model_type", known);
  for (const Defaults& family : families)
    if (*type == family.model_type) return family;
  if (*type == "qwen3_moe" || *type == "deepseek_v3" || *type == "deepseek_v2" || *type == "qwen2_moe" ||
      *type == "mixtral")
    fields.refuse("model_type", fmt::format("mixtures of experts are not there yet; {}", known));
  fields.refuse("model_type", known);
}

void check_class(const Fields& fields, const Defaults& family) {
  const OrderedJson* classes = fields.find("architectures");
  if (classes == nullptr) return;
  if (!classes->is_array() || classes->size() != 1 || classes->front() != OrderedJson(family.class_name))
    fields.refuse("architectures", fmt::format("hearth reads [\"{}\"] for this model_type", family.class_name));
}

/// Flags and numbers that would change the mathematics, and the values at which they do not.
void refuse_other_mathematics(const Fields& fields, const Defaults& family) {
  // qwen2 has its biases whatever this key says, in transformers as here.
  if (family.architecture != Architecture::qwen2 && fields.flag("attention_bias").value_or(false))
    fields.refuse("attention_bias", "hearth has no attention biases for this model_type");
  for (const char* key : {"mlp_bias", "use_sliding_window", "is_encoder_decoder", "add_cross_attention", "use_qk_norm",
                          "rope_interleave", "rope_interleaved"})
    if (fields.flag(key).value_or(false)) fields.refuse(key, "hearth does not do this; only false is understood");
  for (const char* key : {"partial_rotary_factor", "rotary_pct", "residual_multiplier", "embedding_multiplier",
                          "logits_scaling", "logit_scale"})
    if (fields.number(key).value_or(1) != 1) fields.refuse(key, "hearth does not do this; only 1 is understood");
  for (const char* key : {"attention_dropout", "hidden_dropout", "embd_pdrop", "resid_pdrop", "attn_logit_softcapping",
                          "final_logit_softcapping", "num_experts", "num_local_experts", "n_routed_experts"})
    if (fields.number(key).value_or(0) != 0) fields.refuse(key, "hearth does not do this; only 0 is understood");
  if (!fields.flag("is_causal").value_or(true))
    fields.refuse("is_causal", "hearth attends to what came before only; only true is understood");
  for (const char* key : {"quantization_config", "compression_config", "no_rope_layers", "attention_multiplier"})
    if (fields.has(key)) fields.refuse(key, "hearth does not read such models");
  for (const char* key : {"hidden_act", "hidden_activation"}) {
    const std::string name = fields.text(key).value_or("silu");
    if (name != "silu" && name != "swish") fields.refuse(key, "hearth has silu only");
  }
}

void check_layer_types(const Fields& fields, const ModelConfig& config) {
  const OrderedJson* types = fields.find("layer_types");
  if (types == nullptr) return;
  const char* expected = config.window > 0 ? "sliding_attention" : "full_attention";
  if (!types->is_array()) fields.refuse("layer_types", "a list is expected");
  if (static_cast<std::int64_t>(types->size()) != config.layers)
    fields.refuse("layer_types", fmt::format("it needs one entry for each of the {} layers", config.layers));
  for (const OrderedJson& type : *types)
    if (type != OrderedJson(expected))
      fields.refuse("layer_types",
                    fmt::format("{} is not \"{}\", and hearth treats all layers alike", shown(type), expected));
}

void read_sizes(const Fields& fields, const Defaults& family, ModelConfig& config) {
  config.vocabulary = fields.integer("vocab_size", family.vocabulary, 1, std::int64_t{1} << 26);
  config.width = fields.integer("hidden_size", default_width, 1, std::int64_t{1} << 20);
  config.hidden = fields.integer("intermediate_size", family.hidden, 1, std::int64_t{1} << 22);
  config.layers = fields.integer("num_hidden_layers", default_layers, 1, 4096);
  config.heads = fields.integer("num_attention_heads", default_heads, 1, 4096);
  const bool said = fields.object().contains("num_key_value_heads");  // null there means as many as heads
  const std::int64_t otherwise = said || family.key_value_heads == 0 ? config.heads : family.key_value_heads;
  config.key_value_heads = fields.integer("num_key_value_heads", otherwise, 1, 4096);
  if (config.heads % config.key_value_heads != 0)
    fields.refuse("num_key_value_heads",
                  fmt::format("it must divide the {} heads (absent, it is {})", config.heads, otherwise));
  if (!fields.has("head_dim") && family.head_width == 0 && config.width % config.heads != 0)
    fields.refuse("hidden_size", fmt::format("it is no multiple of the {} heads; say head_dim", config.heads));
  config.head_width =
      fields.integer("head_dim", family.head_width == 0 ? config.width / config.heads : family.head_width, 1, 4096);
  if (config.head_width % 2 != 0)
    fields.refuse(fields.has("head_dim") ? "head_dim" : "hidden_size",
                  fmt::format("heads are {} wide, and rotation needs an even width", config.head_width));
  config.max_positions = fields.integer("max_position_embeddings", family.max_positions, 1, std::int64_t{1} << 30);
}

/// An id, or nothing for absent, null and -1 (which old files write for none).
std::optional<std::int64_t> token(const Fields& fields, std::string_view key, std::int64_t otherwise) {
  const bool said = fields.object().contains(key);
  const std::int64_t id = fields.integer(key, said ? -1 : otherwise, -1, INT32_MAX);
  return id < 0 ? std::nullopt : std::optional(id);
}

void read_tokens(const Fields& fields, const Defaults& family, ModelConfig& config) {
  config.begin_token = token(fields, "bos_token_id", family.begin_token);
  config.padding_token = token(fields, "pad_token_id", -1);
  const OrderedJson* end = fields.find("eos_token_id");
  if (end == nullptr || !end->is_array()) {
    if (const auto id = token(fields, "eos_token_id", family.end_token)) config.end_tokens = {*id};
    return;
  }
  for (const OrderedJson& id : *end) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > INT32_MAX)
      fields.refuse("eos_token_id", "a token id or a list of them is expected");
    config.end_tokens.push_back(id.get<std::int64_t>());
  }
}

Dtype read_dtype(const Fields& fields) {
  std::optional<Dtype> found;
  for (const char* key : {"torch_dtype", "dtype"}) {
    auto name = fields.text(key);
    if (!name) continue;
    if (name->starts_with("torch.")) name->erase(0, 6);
    std::optional<Dtype> dtype;
    for (const Dtype known : {Dtype::f32, Dtype::bf16, Dtype::f16})
      if (*name == torch_name(known)) dtype = known;
    if (!dtype) fields.refuse(key, "hearth knows float32, bfloat16 and float16");
    if (found && *found != *dtype) fields.refuse(key, "torch_dtype says something else; they must agree");
    found = dtype;
  }
  return found.value_or(Dtype::f32);
}

ModelConfig config_of(const OrderedJson& json, const std::string& where) {
  const Fields fields(json, where, "");
  const Defaults& family = family_of(fields);
  check_class(fields, family);
  refuse_other_mathematics(fields, family);
  ModelConfig config;
  config.architecture = family.architecture;
  read_sizes(fields, family, config);
  config.norm_epsilon = static_cast<float>(fields.number("rms_norm_eps", 1e-6, 0));
  config.initializer_range = static_cast<float>(fields.number("initializer_range", 0.02, 0));
  config.tied = fields.flag("tie_word_embeddings").value_or(false);
  config.attention_bias = family.architecture == Architecture::qwen2;
  config.query_key_norm = family.architecture == Architecture::qwen3;
  if (family.architecture == Architecture::mistral) {
    const bool none = json.contains("sliding_window") && !fields.has("sliding_window");
    config.window = none ? 0 : fields.integer("sliding_window", default_window, 1, std::int64_t{1} << 30);
  }
  check_layer_types(fields, config);
  config.rope = read_rope(fields, where, config.max_positions);
  read_tokens(fields, family, config);
  config.dtype = read_dtype(fields);
  return config;
}

/// Writes `value` under `key` where the file says nothing, or something else than the config.
template <class Value>
void put(OrderedJson& json, const char* key, const Value& value, bool changed) {
  if (changed || !json.contains(key)) json[key] = value;
}

OrderedJson end_tokens(const ModelConfig& config) {
  if (config.end_tokens.empty()) return nullptr;
  return config.end_tokens.size() == 1 ? OrderedJson(config.end_tokens.front()) : OrderedJson(config.end_tokens);
}

OrderedJson id_or_null(std::optional<std::int64_t> id) {
  return id ? OrderedJson(*id) : OrderedJson(nullptr);
}

void put_sizes(OrderedJson& json, const ModelConfig& config, const ModelConfig& base) {
  put(json, "vocab_size", config.vocabulary, config.vocabulary != base.vocabulary);
  put(json, "hidden_size", config.width, config.width != base.width);
  put(json, "intermediate_size", config.hidden, config.hidden != base.hidden);
  put(json, "num_hidden_layers", config.layers, config.layers != base.layers);
  put(json, "num_attention_heads", config.heads, config.heads != base.heads);
  put(json, "num_key_value_heads", config.key_value_heads, config.key_value_heads != base.key_value_heads);
  if (config.head_width * config.heads != config.width || config.architecture == Architecture::qwen3)
    put(json, "head_dim", config.head_width, config.head_width != base.head_width);
  put(json, "max_position_embeddings", config.max_positions, config.max_positions != base.max_positions);
}

}  // namespace

std::string_view torch_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return "float32";
    case Dtype::bf16:
      return "bfloat16";
    case Dtype::f16:
      return "float16";
    default:
      fail(Kind::internal, "weights are never written as {}", name_of(dtype));
  }
}

ModelConfig parse_config(std::string_view json_text, const std::string& where) {
  if (json_text.size() > most_bytes) fail(Kind::data, "{}: {} bytes; a config.json is small", where, json_text.size());
  ModelConfig config = config_of(parse_ordered_json(json_text, where), where);
  config.source_json = json_text;
  return config;
}

ModelConfig read_config(const Path& folder_or_file) {
  const bool folder = std::filesystem::is_directory(folder_or_file);
  const Path path = folder ? folder_or_file / "config.json" : folder_or_file;
  if (folder && !std::filesystem::exists(path))
    fail(Kind::data, "{} has no config.json; a model folder needs one", folder_or_file.string());
  return parse_config(read_text(path), path.string());
}

std::string to_json(const ModelConfig& config, Dtype dtype) {
  const bool born = config.source_json.empty();
  OrderedJson json = born ? OrderedJson::object() : parse_ordered_json(config.source_json, "source_json");
  const auto number = [](float value) { return OrderedJson::parse(fmt::format("{}", value)); };
  const std::string_view family = name_of(config.architecture);
  if (born) json["model_type"] = family;
  const ModelConfig base = born ? ModelConfig{} : config_of(json, "source_json");
  for (const Defaults& known : families)
    if (known.architecture == config.architecture) put(json, "architectures", OrderedJson{known.class_name}, false);
  put(json, "model_type", family, false);
  put_sizes(json, config, base);
  put(json, "hidden_act", "silu", false);
  put(json, "rms_norm_eps", number(config.norm_epsilon), config.norm_epsilon != base.norm_epsilon);
  put(json, "initializer_range", number(config.initializer_range), config.initializer_range != base.initializer_range);
  put(json, "tie_word_embeddings", config.tied, config.tied != base.tied);
  if (config.architecture == Architecture::mistral)
    put(json, "sliding_window", config.window == 0 ? OrderedJson(nullptr) : OrderedJson(config.window),
        config.window != base.window);
  if (born || config.rope != base.rope || !(json.contains("rope_theta") || json.contains("rope_parameters")))
    write_rope(config.rope, json);
  put(json, "bos_token_id", id_or_null(config.begin_token), config.begin_token != base.begin_token);
  put(json, "eos_token_id", end_tokens(config), config.end_tokens != base.end_tokens);
  if (config.padding_token != base.padding_token) json["pad_token_id"] = id_or_null(config.padding_token);
  if (json.contains("dtype")) json["dtype"] = torch_name(dtype);
  json["torch_dtype"] = torch_name(dtype);
  return json.dump(2) + "\n";
}

std::string generation_json(const ModelConfig& config) {
  OrderedJson json = OrderedJson::object();
  if (config.begin_token) json["bos_token_id"] = *config.begin_token;
  if (!config.end_tokens.empty()) json["eos_token_id"] = end_tokens(config);
  if (config.padding_token) json["pad_token_id"] = *config.padding_token;
  return json.dump(2) + "\n";
}

}  // namespace hearth::hf
