// Sampling, and a decoder against the same tokens without a cache.
#include "model/decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "kernels/backend.h"
#include "model/sinks.h"

namespace hearth {
namespace {

TEST(Sample, GreedyTakesTheFirstOfEquals) {
  EXPECT_EQ(sample(std::vector<float>{1, 3, 3, 2}, {}, 0), 1);
  EXPECT_THROW(sample(std::vector<float>{1, std::numeric_limits<float>::quiet_NaN()}, {}, 0), Error);
}

TEST(Sample, FollowsTheDistribution) {
  const std::vector<float> logits = {std::log(1.0F), std::log(2.0F), std::log(5.0F)};
  std::map<std::int32_t, int> counts;
  const int draws = 8000;
  for (int i = 0; i < draws; ++i)
    ++counts[sample(logits, {.temperature = 1, .seed = 4}, static_cast<std::uint64_t>(i))];
  for (const auto& [token, share] : std::map<std::int32_t, double>{{0, 1 / 8.0}, {1, 2 / 8.0}, {2, 5 / 8.0}}) {
    EXPECT_LT(std::abs(counts[token] - draws * share), 5 * std::sqrt(draws * share * (1 - share)));
  }
}

TEST(Sample, CutsToTopKAndTopP) {
  const std::vector<float> logits = {std::log(1.0F), std::log(2.0F), std::log(5.0F)};
  for (std::uint64_t i = 0; i < 200; ++i) {
    EXPECT_NE(sample(logits, {.temperature = 1, .top_k = 2}, i), 0);
    EXPECT_EQ(sample(logits, {.temperature = 1, .top_p = 0.6}, i), 2);  // 5/8 alone holds 0.6
    EXPECT_NE(sample(logits, {.temperature = 1, .top_p = 0.7}, i), 0);
  }
}

/// Random weights of the initial laws, made larger so that logits differ.
class FreshWeights final : public WeightSource {
 public:
  FreshWeights(const Transformer& model, Memory& memory) {
    for (int i = 0; i < model.blocks(); ++i) {
      auto& tensors = weights_.emplace_back();
      for (const Parameter& p : model.block(i).parameters()) {
        buffers_.emplace_back(memory, static_cast<std::size_t>(p.full.elements()) * sizeof(float));
        tensors.push_back(buffers_.back().tensor(Dtype::f32, p.full));
        std::int64_t index = 0;
        for (float& value : tensors.back().span<float>()) value = initial_value(p, Key(9), index++);
      }
    }
  }
  void prefetch(int) override {}
  std::span<const Tensor> whole(int block) override { return weights_[static_cast<std::size_t>(block)]; }
  void release(int) override {}

 private:
  std::vector<Buffer> buffers_;
  std::vector<std::vector<Tensor>> weights_;
};

/// Logits of two layers whose products were summed in other orders: a handful of roundings a layer.
void expect_alike(std::span<const float> one, std::span<const float> all) {
  double largest = 0;
  for (const float logit : all) largest = std::max(largest, std::abs(static_cast<double>(logit)));
  ASSERT_EQ(one.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_NEAR(one[i], all[i], 64 * 2 * largest * std::numeric_limits<float>::epsilon());
  }
}

TEST(Decoder, CacheEqualsNoCache) {
  ModelConfig config;
  config.vocabulary = 17;
  config.width = 12;
  config.hidden = 20;
  config.layers = 2;
  config.heads = 2;
  config.key_value_heads = 1;
  config.head_width = 6;
  config.window = 5;
  config.query_key_norm = true;
  config.tied = true;
  config.initializer_range = 0.5F;
  const Transformer model(config);
  const auto backend = make_cpu_backend({.threads = 1});
  FreshWeights weights(model, backend->memory());
  std::vector<std::int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9};
  Decoder step(model, weights, backend->ops(), backend->memory(), Dtype::f32, 20);
  for (std::size_t n = 1; n <= tokens.size(); ++n) {
    const auto one = step.append(std::span(tokens).subspan(n - 1, 1));
    Decoder whole(model, weights, backend->ops(), backend->memory(), Dtype::f32, 20);
    const auto all = whole.append(std::span(tokens).first(n));
    expect_alike(one, all);
  }
}

/// A prompt of several tokens, and what follows it, one by one.
TEST(Decoder, GoesOnBehindAPromptOfSeveralTokens) {
  ModelConfig config;
  config.vocabulary = 11;
  config.width = 16;
  config.hidden = 20;
  config.layers = 2;
  config.heads = 2;
  config.key_value_heads = 1;
  config.head_width = 8;
  config.initializer_range = 0.5F;
  const Transformer model(config);
  const auto backend = make_cpu_backend({.threads = 1});
  FreshWeights weights(model, backend->memory());
  const std::vector<std::int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3};
  for (const std::size_t prompt : {std::size_t{2}, std::size_t{7}}) {
    Decoder step(model, weights, backend->ops(), backend->memory(), Dtype::f32, 20);
    step.append(std::span(tokens).first(prompt));
    for (std::size_t n = prompt + 1; n <= tokens.size(); ++n) {
      const auto one = step.append(std::span(tokens).subspan(n - 1, 1));
      Decoder whole(model, weights, backend->ops(), backend->memory(), Dtype::f32, 20);
      const auto all = whole.append(std::span(tokens).first(n));
      SCOPED_TRACE(fmt::format("{} tokens at first, of {}", prompt, n));
      expect_alike(one, all);
    }
  }
}

}  // namespace
}  // namespace hearth
