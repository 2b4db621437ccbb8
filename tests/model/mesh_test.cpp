// Every block, and a small model, cut along the tensor and the context axis against the same uncut in double.
#include <gtest/gtest.h>

#include "model/block_bench.h"
#include "model/final_norm.h"
#include "model/mesh_chains.h"

namespace hearth::test {
namespace {

void expect_equal_to_uncut(const Chain& chain, const Documents& documents, const AxisSizes& axes) {
  SCOPED_TRACE(text(axes));
  const Outcome right = run(chain, documents, {.axes = {}});
  expect_close(run(chain, documents, {.axes = axes}), right, allowed_in(Dtype::f64, chain));
}

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
    for (const std::int64_t window : {0, 1, 5, 20}) {
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

/// More keys than one tile holds, so that tiles are seen in part, not at all, and whole.
TEST(Mesh, AttentionOverManyTiles) {
  AttentionSizes sizes = attention_sizes(2, 1);
  sizes.biases = true;
  for (const std::int64_t window : {0, 150}) {
    sizes.window = window;
    const Chain chain = attention(sizes);
    const Documents some = documents({2, 4}, 11, {70, 500, 3, 430, 40, 112});
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      const Outcome right = run(chain, some, {.rounded = dtype});
      for (const AxisSizes& axes : {AxisSizes{1, 2}, AxisSizes{2, 2}, AxisSizes{1, 4}}) {
        SCOPED_TRACE(std::string(name_of(dtype)) + " " + text(axes));
        expect_close(run(chain, some, {.axes = axes, .compute = dtype, .plain = false, .rounded = dtype}), right,
                     allowed_in(dtype, chain, 1155));
      }
    }
  }
}

/// One token in each chunk, and ranks that have nothing but padding.
TEST(Mesh, AlmostNoTokens) {
  for (const AxisSizes& axes : {AxisSizes{2, 1}, AxisSizes{4, 1}, AxisSizes{1, 2}, AxisSizes{1, 4}, AxisSizes{2, 2},
                                AxisSizes{4, 2}, AxisSizes{2, 4}}) {
    for (const std::vector<std::int32_t>& lengths : {std::vector{1}, {2}, {3}, {3, 2, 1}}) {
      const Documents some = documents(axes, 97, lengths);
      expect_equal_to_uncut(model(4, 2, 97, 2), some, axes);
      AttentionSizes sizes = attention_sizes(4, 1);
      sizes.biases = sizes.head_norms = true;
      expect_equal_to_uncut(attention(sizes), some, axes);
    }
  }
}

/// What pads a microbatch changes neither loss nor gradient, wherever it lies.
TEST(Mesh, PaddingCountsForNothing) {
  const Chain chain = model(4, 2, 97, 0);
  const Documents some = test::documents({13, 1, 9}, 97, 3);
  const Outcome right = run(chain, some, {});
  for (const AxisSizes& axes : {AxisSizes{1, 1}, AxisSizes{2, 1}, AxisSizes{1, 4}, AxisSizes{4, 2}}) {
    SCOPED_TRACE(text(axes));
    Documents padded = some;
    pad_to(padded, 64);
    Outcome found = run(chain, padded, {.axes = axes});
    for (std::size_t t = some.tokens.size(); t < 64; ++t) EXPECT_EQ(found.values["losses"][t], 0);
    for (auto& [name, values] : found.values) values.resize(right.values.at(name).size());
    expect_close(found, right, allowed_in(Dtype::f64, chain));
  }
}

/// No token of any rank has a target: every gradient is zero, and none is NaN.
TEST(Mesh, NoTargetsGiveZero) {
  Documents some = documents({2, 2}, 97);
  std::fill(some.targets.begin(), some.targets.end(), -1);
  std::fill(some.weights.begin(), some.weights.end(), 0.0F);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const Outcome found =
        run(model(4, 1, 97, 9), some, {.axes = {2, 2}, .compute = dtype, .plain = false, .rounded = dtype});
    for (const auto& [name, gradient] : found.gradients) {
      for (const double value : gradient) ASSERT_EQ(value, 0) << name;
    }
    for (const double loss : found.values.at("losses")) EXPECT_EQ(loss, 0);
  }
}

}  // namespace
}  // namespace hearth::test
