#include "trainer/recipe_values.h"
#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "trainer/recipe_nearest.h"

namespace hearth {
namespace {

using Json = nlohmann::json;

/// Keys of config.json that are known to exist. One that is spelt nearly so is a mistake; whether a key is supported is
/// the model reader's to say.
const std::vector<std::string> config_keys = {"architectures",
                                              "attention_bias",
                                              "attention_dropout",
                                              "attn_implementation",
                                              "auto_map",
                                              "bos_token_id",
                                              "decoder_sparse_step",
                                              "dtype",
                                              "eos_token_id",
                                              "ep_size",
                                              "expert_layer_offset",
                                              "expert_layer_period",
                                              "first_k_dense_replace",
                                              "head_dim",
                                              "hidden_act",
                                              "hidden_size",
                                              "initializer_range",
                                              "intermediate_size",
                                              "kv_lora_rank",
                                              "layer_types",
                                              "max_position_embeddings",
                                              "max_window_layers",
                                              "mlp_bias",
                                              "mlp_only_layers",
                                              "model_type",
                                              "moe_intermediate_size",
                                              "moe_layer_freq",
                                              "n_group",
                                              "n_routed_experts",
                                              "n_shared_experts",
                                              "norm_topk_prob",
                                              "num_attention_heads",
                                              "num_experts",
                                              "num_experts_per_tok",
                                              "num_hidden_layers",
                                              "num_key_value_heads",
                                              "num_local_experts",
                                              "num_nextn_predict_layers",
                                              "output_router_logits",
                                              "pad_token_id",
                                              "partial_rotary_factor",
                                              "pretraining_tp",
                                              "q_lora_rank",
                                              "qk_head_dim",
                                              "qk_nope_head_dim",
                                              "qk_rope_head_dim",
                                              "quantization_config",
                                              "rms_norm_eps",
                                              "rope_interleave",
                                              "rope_parameters",
                                              "rope_scaling",
                                              "rope_theta",
                                              "routed_scaling_factor",
                                              "router_aux_loss_coef",
                                              "scoring_func",
                                              "shared_expert_intermediate_size",
                                              "sliding_window",
                                              "tie_word_embeddings",
                                              "topk_group",
                                              "topk_method",
                                              "torch_dtype",
                                              "transformers_version",
                                              "use_cache",
                                              "use_qk_norm",
                                              "use_sliding_window",
                                              "v_head_dim",
                                              "vocab_size"};

/// YAML's own types for plain scalars.
Json json_of(const YamlValue& value) {
  switch (value.kind) {
    case YamlValue::Kind::null:
      return nullptr;
    case YamlValue::Kind::list: {
      Json list = Json::array();
      for (const YamlValue& item : value.items) list.push_back(json_of(item));
      return list;
    }
    case YamlValue::Kind::map: {
      Json map = Json::object();
      for (const auto& [key, below] : value.entries) map[key.text] = json_of(below);
      return map;
    }
    case YamlValue::Kind::scalar:
      break;
  }
  if (!value.quoted) {
    if (const auto whole = as_whole(value)) return *whole;
    if (const auto number = as_number(value); number && std::isfinite(*number)) return *number;
    if (value.text == "true" || value.text == "false") return value.text == "true";
  }
  return value.text;
}

bool check_config_keys(RecipeDraft& draft, const YamlValue& map) {
  bool right = true;
  for (const auto& [key, value] : map.entries) {
    if (std::find(config_keys.begin(), config_keys.end(), key.text) != config_keys.end()) continue;
    const auto nearest = nearest_words(key.text, config_keys);
    if (nearest.empty()) continue;
    draft.complain(key.line, fmt::format("model_config: unknown key `{}`; nearest: {}", key.text, listed(nearest)));
    right = false;
  }
  return right;
}

bool read_config_file(RecipeDraft& draft, const Statement& statement) {
  std::string problem;
  Kind kind = Kind::data;
  try {
    const Json config = Json::parse(read_text(statement.value.text));
    if (config.is_object()) {
      draft.recipe.model.model_config = config.dump();
      return true;
    }
    problem = "is not a JSON object";
  } catch (const Json::exception& error) {
    problem = fmt::format("is not JSON: {}", error.what());
  } catch (const Error& error) {
    problem = fmt::format("cannot be read: {}", error.text());
    kind = error.kind();
  }
  draft.mistakes.push_back(
      {statement.value.line, fmt::format("{}: {} {}", statement.spelling, statement.value.shown(), problem), kind});
  return false;
}

void write_entry(std::string& text, const std::string& key, const Json& value) {
  text += fmt::format("\n    {}: {}", yaml_text(key), value.dump());
}

bool refuse_chat_part(RecipeDraft& draft, const std::string& where, const YamlValue& value, const char* part,
                      const char* present) {
  draft.complain(value.line, fmt::format("{}.{}: {} belongs to chat rows, which this version does not have yet; "
                                         "accepted: {}",
                                         where, part, value.shown(), present));
  return false;
}

/// The parts of train_on that concern chat rows may only say what holds anyway.
bool check_chat_parts(RecipeDraft& draft, const Statement& statement) {
  bool right = true;
  if (const YamlValue* eos = statement.value.find("eos"); eos != nullptr && eos->text != "turn") {
    right = refuse_chat_part(draft, statement.spelling, *eos, "eos", "turn");
  }
  if (const YamlValue* history = statement.value.find("history"); history != nullptr && as_flag(*history) != true) {
    right = refuse_chat_part(draft, statement.spelling, *history, "history", "true");
  }
  if (const YamlValue* roles = statement.value.find("roles"); roles != nullptr) {
    const bool usual =
        roles->items.size() == 2 && roles->items[0].text == "assistant" && roles->items[1].text == "tool_call";
    if (!usual) right = refuse_chat_part(draft, statement.spelling, *roles, "roles", "[assistant, tool_call]");
  }
  return right;
}

}  // namespace

FieldReading model_shape(RecipeField<Recipe::Model, std::optional<std::string>> field) {
  const std::string accepts = "a map of config.json's keys, or the path of such a file";
  ReadKey read = [field, accepts](RecipeDraft& draft, const Statement& statement) {
    if (statement.value.is_scalar() && !statement.value.text.empty()) return read_config_file(draft, statement);
    if (!statement.value.is_map() || statement.value.entries.empty()) return refuse_value(draft, statement, accepts);
    if (!check_config_keys(draft, statement.value)) return false;
    field.in(draft.recipe) = json_of(statement.value).dump();
    return true;
  };
  WriteKey write = [field](const Recipe& recipe) -> std::optional<std::string> {
    if (!field.in(recipe)) return std::nullopt;
    std::string text;
    const Json config = Json::parse(*field.in(recipe));
    for (const auto& [key, value] : config.items()) write_entry(text, key, value);
    return text;
  };
  return {accepts, read, write};
}

FieldReading trained_parts(RecipeField<Recipe::Data, Recipe::TrainOn> field) {
  const std::string accepts = "a map such as {prompt: false}";
  ReadKey read = [field, accepts](RecipeDraft& draft, const Statement& statement) {
    if (!statement.value.is_map()) return refuse_value(draft, statement, accepts);
    const std::size_t before = draft.mistakes.size();
    refuse_unknown_entries(draft, statement.value, statement.spelling, {"roles", "eos", "prompt", "history"});
    check_chat_parts(draft, statement);
    if (const YamlValue* prompt = statement.value.find("prompt"); prompt != nullptr) {
      const Statement stated{statement.spelling + ".prompt", *prompt, prompt->line};
      const auto wanted = as_flag(*prompt);
      if (wanted) field.in(draft.recipe).prompt = *wanted;
      if (!wanted) refuse_value(draft, stated, flag_words);
    }
    return draft.mistakes.size() == before;
  };
  return {accepts, read,
          written(field, [](const Recipe::TrainOn& parts) { return fmt::format("{{prompt: {}}}", parts.prompt); })};
}

ReadKey trained_prompt(Reversed reversed) {
  return [reversed](RecipeDraft& draft, const Statement& statement) {
    const auto wanted = as_flag(statement.value);
    if (!wanted) return refuse_value(draft, statement, flag_words);
    draft.recipe.data.train_on.prompt = *wanted != (reversed == Reversed::yes);
    return true;
  };
}

FieldReading questions(RecipeField<Recipe::Eval, std::optional<Recipe::Questions>> field) {
  const std::string accepts = "the path of rows with prompt and completion, or a map {path, max_new_tokens}";
  ReadKey read = [field, accepts](RecipeDraft& draft, const Statement& statement) {
    if (cleared(draft, statement, field)) return true;
    const YamlValue& value = statement.value;
    Recipe::Questions result;
    if (value.is_scalar() && !value.text.empty()) {
      result.path = value.text;
    } else if (value.is_map()) {
      refuse_unknown_entries(draft, value, statement.spelling, {"path", "max_new_tokens"});
      const YamlValue* path = value.find("path");
      if (path == nullptr || !path->is_scalar() || path->text.empty()) return refuse_value(draft, statement, accepts);
      result.path = path->text;
      if (const YamlValue* most = value.find("max_new_tokens"); most != nullptr) {
        const auto count = as_whole(*most);
        if (!count || *count < 1) {
          return refuse_value(draft, {statement.spelling + ".max_new_tokens", *most, most->line},
                              "a whole number of at least 1");
        }
        result.max_new_tokens = *count;
      }
    } else {
      return refuse_value(draft, statement, accepts);
    }
    field.in(draft.recipe) = result;
    return true;
  };
  return {accepts, read, written(field, [](const Recipe::Questions& asked) {
            return fmt::format("{{path: {}, max_new_tokens: {}}}", yaml_text(asked.path), asked.max_new_tokens);
          })};
}

}  // namespace hearth
