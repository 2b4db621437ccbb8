// Every block, and a small model, cut along the tensor and the context axis against the same uncut in double.
//
// Bounds. A result goes through d tensors, each made of sums of up to n terms. In f64 and f32 every term of a sum rounds
// once; roundings are independent of each other, so their deviations add up like the root of their number, and single
// elements reach four deviations:  4 u sqrt(n d)  of the largest element. In bf16 sums are f32 and only what is stored
// rounds: 4 v sqrt(d), v = 2^-9 the deviation of a rounding whose largest value is 2^-8. A half of a layer stores 7
// tensors on the way of the residual, two more where it is cut; an end stores two. Backward passes three times as many.
#include <gtest/gtest.h>

#include <cmath>

#include "model/attention.h"
#include "model/block_bench.h"
#include "model/embedding.h"
#include "model/final_norm.h"
#include "model/head.h"
#include "model/mesh_bench.h"
#include "model/mlp.h"
#include "model/transformer.h"

namespace hearth {
namespace {

using test::Chain;
using test::MeshRun;
using test::Outcome;

const Law law = {Law::Kind::normal, 0.02F};
constexpr std::int64_t width = 10;   // D
constexpr double longest_sum = 128;  // of the rows of a microbatch, or of a vocabulary

std::string text(const AxisSizes& axes) {
  return fmt::format("tensor {} context {}", axes.tensor, axes.context);
}

Chain of(std::function<std::unique_ptr<Block>(const AxisSizes&)> make, std::int64_t window = 0) {
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

/// A model with everything in it: biases, head norms, a window, grouped heads.
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

/// Documents of several lengths; at every context size some border lies inside one, and one border between two.
Documents documents(const AxisSizes& axes, std::int64_t vocabulary = 11,
                    const std::vector<std::int32_t>& lengths = {13, 1, 10, 7, 15}) {
  Documents all = test::documents(lengths, vocabulary, 3);
  pad_to(all, test::multiple_of(axes));
  return all;
}

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
    worst = std::isnan(error) ? error : std::max(worst, error);
    if (std::isnan(worst)) break;
  }
  EXPECT_TRUE(worst <= bound) << what << ": off by " << worst / largest(right) << " of the largest element, allowed "
                              << allowed;
}

void expect_close(const Outcome& found, const Outcome& right, double allowed) {
  for (const std::string& complaint : found.complaints) ADD_FAILURE() << complaint;
  ASSERT_EQ(found.values.size(), right.values.size());
  ASSERT_EQ(found.gradients.size(), right.gradients.size());
  for (const auto& [name, values] : right.values) expect_close(found.values.at(name), values, allowed, name);
  for (const auto& [name, values] : right.gradients) expect_close(found.gradients.at(name), values, allowed, name);
}

/// Tensors between input and result, forward and back.
double depth_of(const Chain& chain) {
  double depth = 0;
  for (const auto& block : chain.blocks({})) depth += 3 * (block->name().starts_with("layers.") ? 9 : 2);
  return depth;
}

double allowed_in(Dtype dtype, const Chain& chain) {
  const double depth = depth_of(chain);
  if (dtype == Dtype::bf16) return 4 * 0x1p-9 * std::sqrt(depth);
  const double u = dtype == Dtype::f64 ? 0x1p-53 : 0x1p-24;
  return 4 * u * std::sqrt(longest_sum * depth);
}

void expect_equal_to_uncut(const Chain& chain, const Documents& documents, const AxisSizes& axes) {
  SCOPED_TRACE(text(axes));
  const Outcome right = run(chain, documents, {.axes = {}});
  expect_close(run(chain, documents, {.axes = axes}), right, allowed_in(Dtype::f64, chain));
}

const AxisSizes meshes[] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}};

TEST(Mesh, Embedding) {
  for (const std::int64_t vocabulary : {3, 97}) {
    for (const AxisSizes& axes : meshes) {
      expect_equal_to_uncut(embedding(vocabulary), documents(axes, vocabulary), axes);
    }
  }
}

TEST(Mesh, FinalNorm) {
  const Chain chain = of([](const AxisSizes& axes) { return std::make_unique<FinalNorm>(width, 1e-6, axes); });
  for (const AxisSizes& axes : meshes) expect_equal_to_uncut(chain, documents(axes), axes);
}

TEST(Mesh, Mlp) {
  for (const std::int64_t hidden : {2, 10, 12}) {
    for (const AxisSizes& axes : meshes) expect_equal_to_uncut(mlp(hidden), documents(axes), axes);
  }
}

TEST(Mesh, Head) {
  for (const std::int64_t vocabulary : {3, 97}) {
    for (const double smoothing : {0.0, 0.1}) {
      for (const AxisSizes& axes : meshes) {
        expect_equal_to_uncut(head(vocabulary, smoothing), documents(axes, vocabulary), axes);
      }
    }
  }
}

TEST(Mesh, HeadInChunks) {
  expect_equal_to_uncut(head(5, 0.1), documents({3, 1}, 5, {200, 150, 200, 21}), {3, 1});
}

/// Query heads divide by the axis; key-value heads divide, or are shared by as many ranks as it takes.
bool fits(const AxisSizes& axes, std::int64_t heads, std::int64_t key_value_heads) {
  return heads % axes.tensor == 0 && (key_value_heads % axes.tensor == 0 || axes.tensor % key_value_heads == 0);
}

TEST(Mesh, Attention) {
  for (const std::int64_t key_value_heads : {1, 2, 3, 4, 6, 12}) {
    for (const AxisSizes& axes : meshes) {
      if (!fits(axes, 12, key_value_heads)) continue;
      expect_equal_to_uncut(attention(attention_sizes(12, key_value_heads)), documents(axes), axes);
    }
  }
}

TEST(Mesh, AttentionWithAllOfIt) {
  for (const std::int64_t key_value_heads : {1, 2, 4}) {
    for (const std::int64_t window : {0, 1, 5}) {
      AttentionSizes sizes = attention_sizes(4, key_value_heads);
      sizes.biases = sizes.head_norms = true;
      sizes.window = window;
      for (const AxisSizes& axes : meshes) {
        if (fits(axes, 4, key_value_heads)) expect_equal_to_uncut(attention(sizes), documents(axes), axes);
      }
    }
  }
}

TEST(Mesh, Model) {
  for (const std::int64_t vocabulary : {3, 97}) {
    for (const AxisSizes& axes : meshes) {
      const std::int64_t heads = axes.tensor == 3 ? 3 : 4;
      for (const std::int64_t key_value_heads : {std::int64_t{1}, heads}) {
        expect_equal_to_uncut(model(heads, key_value_heads, vocabulary, 9), documents(axes, vocabulary), axes);
      }
    }
  }
}

/// The CPU backend in f32 and bf16, against the uncut truth on the same rounded weights and inputs.
TEST(Mesh, InF32AndBf16) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const AxisSizes& axes : meshes) {
      const std::int64_t heads = axes.tensor == 3 ? 3 : 4;
      for (const std::int64_t key_value_heads : {std::int64_t{1}, heads}) {
        SCOPED_TRACE(std::string(name_of(dtype)) + " " + text(axes));
        const Chain chain = model(heads, key_value_heads, 97, 9);
        const Documents some = documents(axes, 97);
        const Outcome right = run(chain, some, {.rounded = dtype});
        expect_close(run(chain, some, {.axes = axes, .compute = dtype, .plain = false, .rounded = dtype}), right,
                     allowed_in(dtype, chain));
      }
    }
  }
}

}  // namespace
}  // namespace hearth
