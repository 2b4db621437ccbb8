#include "model/hf/config_keys.h"

#include <algorithm>

#include "base/error.h"
#include "model/hf/json.h"

namespace hearth::hf {

namespace {

// Lists of words, each between blanks.

/// The values of model_type that config.cpp knows.
constexpr std::string_view families =
    " llama qwen2 qwen3 mistral"
    " ";

/// What config.cpp takes values from.
constexpr std::string_view spoken =
    " architectures bos_token_id dtype eos_token_id head_dim hidden_act hidden_activation hidden_size"
    " initializer_range intermediate_size layer_types max_position_embeddings model_type num_attention_heads"
    " num_hidden_layers num_key_value_heads pad_token_id rms_norm_eps rope_parameters rope_scaling rope_theta"
    " sliding_window tie_word_embeddings torch_dtype vocab_size"
    " ";

/// What config.cpp refuses at every value that would change the mathematics.
constexpr std::string_view guarded =
    " add_cross_attention attention_bias attention_dropout attention_multiplier attn_logit_softcapping"
    " compression_config embd_pdrop embedding_multiplier final_logit_softcapping hidden_dropout is_causal"
    " is_encoder_decoder logit_scale logits_scaling mlp_bias n_routed_experts no_rope_layers num_experts"
    " num_local_experts partial_rotary_factor quantization_config resid_pdrop residual_multiplier"
    " rope_interleave rope_interleaved rotary_pct use_qk_norm use_sliding_window"
    " ";

/// Where a model comes from, how it is run, how texts are generated: what transformers and others write into every file.
constexpr std::string_view harmless =
    " _attn_implementation _attn_implementation_autoset _commit_hash _flash_attn_2_enabled _name_or_path"
    " attn_implementation auto_map bad_words_ids begin_suppress_tokens chunk_size_feed_forward"
    " cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample early_stopping"
    " encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task forced_bos_token_id"
    " forced_eos_token_id id2label is_decoder keys_to_ignore_at_inference label2id length_penalty max_length"
    " max_sequence_length max_window_layers min_length no_repeat_ngram_size num_beam_groups num_beams"
    " num_return_sequences output_attentions output_hidden_states output_scores prefix pretraining_tp"
    " problem_type pruned_heads remove_invalid_values repetition_penalty return_dict return_dict_in_generate"
    " sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss tie_encoder_decoder"
    " tokenizer_class top_k top_p torchscript transformers_version typical_p unk_token_id unsloth_fixed"
    " unsloth_version use_bfloat16 use_cache"
    " ";

bool holds(std::string_view words, std::string_view word) {
  return word.find(' ') == std::string_view::npos && words.find(fmt::format(" {} ", word)) != std::string_view::npos;
}

std::vector<std::string> split(std::string_view text, char between) {
  std::vector<std::string> words(1);
  for (const char letter : text) {
    if (letter == between) {
      words.emplace_back();
    } else {
      words.back() += letter;
    }
  }
  std::erase(words, "");
  return words;
}

/// "eps" and "epsilon", "layer" and "layers".
bool same_word(const std::string& left, const std::string& right) {
  if (left == right) return true;
  return std::min(left.size(), right.size()) >= 3 && (left.starts_with(right) || right.starts_with(left));
}

std::size_t shared_words(const std::vector<std::string>& key, std::string_view other) {
  const std::vector<std::string> words = split(other, '_');
  return static_cast<std::size_t>(std::count_if(key.begin(), key.end(), [&](const std::string& word) {
    return std::any_of(words.begin(), words.end(), [&](const std::string& one) { return same_word(word, one); });
  }));
}

/// Only mistral reads its window by itself; for the others the key use_sliding_window says that there is none.
bool window_is_idle(const OrderedJson& json, std::string_view type) {
  return type != "mistral" && !json.contains("use_sliding_window");
}

}  // namespace

std::vector<std::string> unknown_keys(std::string_view json_text) {
  const OrderedJson json = OrderedJson::parse(json_text, nullptr, false);
  if (!json.is_object()) return {};
  const OrderedJson stated = json.contains("model_type") ? json["model_type"] : OrderedJson();
  const std::string type = stated.is_string() ? stated.get<std::string>() : "";
  if (!stated.is_null() && !holds(families, type)) return {};
  std::vector<std::string> unknown;
  for (const auto& [key, value] : json.items()) {
    if (value.is_null()) continue;
    const bool known = holds(spoken, key) || holds(guarded, key) || holds(harmless, key);
    if (!known || (key == "sliding_window" && window_is_idle(json, type))) unknown.push_back(key);
  }
  return unknown;
}

const std::vector<std::string>& spoken_keys() {
  static const std::vector<std::string> keys = split(spoken, ' ');
  return keys;
}

std::vector<std::string> keys_like(std::string_view key) {
  const std::vector<std::string> words = split(key, '_');
  std::size_t best = (words.size() + 1) / 2;  // fewer than half are chance
  std::vector<std::string> like;
  for (const std::string& other : spoken_keys()) {
    const std::size_t shared = shared_words(words, other);
    if (shared < best) continue;
    if (shared > best) like.clear();
    best = shared;
    like.push_back(other);
  }
  return like;
}

}  // namespace hearth::hf
