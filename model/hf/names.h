// The tensors a model has, under hearth's names and under those of Hugging Face checkpoints.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "model/config.h"

namespace hearth::hf {

struct NamedTensor {
  std::string name;     // hearth's: layers.7.attention.query
  std::string foreign;  // model.layers.7.self_attn.q_proj.weight
  Dims dims;            // the same on both sides: (out, in) for matrices
};

/// Every tensor of a checkpoint of this model, in the order of the forward pass: embedding, layers, final norm, head. A
/// tied head is not listed.
///
///   embedding                              model.embed_tokens.weight                        (V, D)
///   layers.I.attention.norm                model.layers.I.input_layernorm.weight            (D)
///   layers.I.attention.query               model.layers.I.self_attn.q_proj.weight           (N H, D)
///   layers.I.attention.key, .value         model.layers.I.self_attn.{k,v}_proj.weight       (K H, D)
///   layers.I.attention.{query,key,value}_bias   ...{q,k,v}_proj.bias      with attention_bias
///   layers.I.attention.{query,key}_norm    model.layers.I.self_attn.{q,k}_norm.weight  (H)  with query_key_norm
///   layers.I.attention.output              model.layers.I.self_attn.o_proj.weight           (D, N H)
///   layers.I.mlp.norm                      model.layers.I.post_attention_layernorm.weight   (D)
///   layers.I.mlp.gate, .up                 model.layers.I.mlp.{gate,up}_proj.weight         (F, D)
///   layers.I.mlp.down                      model.layers.I.mlp.down_proj.weight              (D, F)
///   final_norm                             model.norm.weight                                (D)
///   head                                   lm_head.weight                                   (V, D)
std::vector<NamedTensor> expected_tensors(const ModelConfig& config);

/// The other side's name. Throws Kind::internal for a name that no model of these architectures has.
std::string foreign_name(std::string_view name);
std::string hearth_name(std::string_view foreign);

}  // namespace hearth::hf
