#include "model/transformer.h"

#include <utility>

#include "model/attention.h"
#include "model/embedding.h"
#include "model/final_norm.h"
#include "model/mlp.h"

namespace hearth {

Transformer::Transformer(ModelConfig config, double label_smoothing, Init init, AxisSizes axes)
    : config_(std::move(config)), axes_(axes) {
  const ModelConfig& c = config_;
  const Law law = init == Init::xavier ? Law{Law::Kind::xavier} : Law{Law::Kind::normal, c.initializer_range};
  const AttentionSizes attention = {.width = c.width,
                                    .heads = c.heads,
                                    .key_value_heads = c.key_value_heads,
                                    .head_width = c.head_width,
                                    .window = c.window,
                                    .biases = c.attention_bias,
                                    .head_norms = c.query_key_norm,
                                    .epsilon = c.norm_epsilon,
                                    .law = law};
  const MlpSizes mlp = {.width = c.width, .hidden = c.hidden, .epsilon = c.norm_epsilon, .law = law};
  blocks_.push_back(std::make_unique<Embedding>(c.vocabulary, c.width, law, axes));
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    blocks_.push_back(std::make_unique<Attention>(fmt::format("layers.{}.attention", layer), attention, axes));
    blocks_.push_back(std::make_unique<Mlp>(fmt::format("layers.{}.mlp", layer), mlp, axes));
  }
  blocks_.push_back(std::make_unique<FinalNorm>(c.width, c.norm_epsilon, axes));
  auto head = std::make_unique<Head>(c.tied ? "embedding" : "head", c.vocabulary, c.width, law, label_smoothing, axes);
  head_ = head.get();
  blocks_.push_back(std::move(head));
}

int Transformer::layer_of(int block) const {
  return block == 0 || block >= blocks() - 2 ? -1 : (block - 1) / 2;
}

std::vector<Parameter> Transformer::parameters() const {
  std::vector<Parameter> all;
  for (const auto& block : blocks_) {
    if (tied() && block.get() == head_) continue;
    for (Parameter& parameter : block->parameters()) all.push_back(std::move(parameter));
  }
  return all;
}

}  // namespace hearth
