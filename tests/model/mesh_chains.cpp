#include "model/mesh_chains.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/block_bench.h"
#include "model/embedding.h"
#include "model/final_norm.h"
#include "model/head.h"
#include "model/mlp.h"
#include "support/worse.h"

namespace hearth::test {

std::string text(const AxisSizes& axes) {
  return fmt::format("tensor {} context {}", axes.tensor, axes.context);
}

Chain of(std::function<std::unique_ptr<Block>(const AxisSizes&)> make, std::int64_t window) {
  return {.blocks =
              [make](const AxisSizes& axes) {
                std::vector<std::unique_ptr<Block>> blocks;
                blocks.push_back(make(axes));
                return blocks;
              },
          .width = width,
          .head_width = 6,
          .window = window};
}

Chain attention(const AttentionSizes& sizes) {
  return of([=](const AxisSizes& axes) { return std::make_unique<Attention>("layers.0.attention", sizes, axes); },
            sizes.window);
}

Chain mlp(std::int64_t hidden) {
  return of([=](const AxisSizes& axes) {
    return std::make_unique<Mlp>("layers.0.mlp", MlpSizes{width, hidden, 1e-5, law}, axes);
  });
}

Chain head(std::int64_t vocabulary, double smoothing) {
  return of(
      [=](const AxisSizes& axes) { return std::make_unique<Head>("head", vocabulary, width, law, smoothing, axes); });
}

Chain embedding(std::int64_t vocabulary) {
  return of([=](const AxisSizes& axes) { return std::make_unique<Embedding>(vocabulary, width, law, axes); });
}

Chain model(std::int64_t heads, std::int64_t key_value_heads, std::int64_t vocabulary, std::int64_t window) {
  return {.blocks =
              [=](const AxisSizes& axes) {
                const AttentionSizes sizes = {.width = width,
                                              .heads = heads,
                                              .key_value_heads = key_value_heads,
                                              .head_width = 6,
                                              .window = window,
                                              .biases = true,
                                              .head_norms = true,
                                              .epsilon = 1e-6,
                                              .law = law};
                std::vector<std::unique_ptr<Block>> blocks;
                blocks.push_back(std::make_unique<Embedding>(vocabulary, width, law, axes));
                blocks.push_back(std::make_unique<Attention>("layers.0.attention", sizes, axes));
                blocks.push_back(std::make_unique<Mlp>("layers.0.mlp", MlpSizes{width, 10, 1e-5, law}, axes));
                blocks.push_back(std::make_unique<FinalNorm>(width, 1e-6, axes));
                blocks.push_back(std::make_unique<Head>("head", vocabulary, width, law, 0.1, axes));
                return blocks;
              },
          .width = width,
          .head_width = 6,
          .window = window};
}

AttentionSizes attention_sizes(std::int64_t heads, std::int64_t key_value_heads) {
  return {
      .width = width, .heads = heads, .key_value_heads = key_value_heads, .head_width = 6, .epsilon = 1e-6, .law = law};
}

bool fits(const AxisSizes& axes, std::int64_t heads, std::int64_t key_value_heads) {
  return heads % axes.tensor == 0 && (key_value_heads % axes.tensor == 0 || axes.tensor % key_value_heads == 0);
}

Documents documents(const AxisSizes& axes, std::int64_t vocabulary, const std::vector<std::int32_t>& lengths) {
  Documents all = test::documents(lengths, vocabulary, 3);
  pad_to(all, token_multiple(axes));
  return all;
}

namespace {

double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

void expect_close(const std::vector<double>& found, const std::vector<double>& right, double allowed,
                  const std::string& what) {
  ASSERT_EQ(found.size(), right.size()) << what;
  const double bound = allowed * largest(right);
  double worst = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    const double error = std::abs(found[i] - right[i]);
    worst = test::worse(worst, error);
    if (std::isnan(worst)) break;
  }
  EXPECT_TRUE(worst <= bound) << what << ": off by " << worst / largest(right) << " of the largest element, allowed "
                              << allowed;
}

/// Tensors between input and result, forward and back.
double depth_of(const Chain& chain) {
  double depth = 0;
  for (const auto& block : chain.blocks({})) depth += 3 * (block->name().starts_with("layers.") ? 9 : 2);
  return depth;
}

}  // namespace

void expect_close(const Outcome& found, const Outcome& right, double allowed) {
  for (const std::string& complaint : found.complaints) ADD_FAILURE() << complaint;
  ASSERT_EQ(found.values.size(), right.values.size());
  ASSERT_EQ(found.gradients.size(), right.gradients.size());
  for (const auto& [name, values] : right.values) expect_close(found.values.at(name), values, allowed, name);
  for (const auto& [name, values] : right.gradients) expect_close(found.gradients.at(name), values, allowed, name);
}

double allowed_in(Dtype dtype, const Chain& chain, double longest_sum) {
  const double depth = depth_of(chain);
  if (dtype == Dtype::bf16) return 4 * 0x1p-9 * std::sqrt(depth);
  const double u = dtype == Dtype::f64 ? 0x1p-53 : 0x1p-24;
  return 4 * u * std::sqrt(longest_sum * depth);
}

}  // namespace hearth::test
