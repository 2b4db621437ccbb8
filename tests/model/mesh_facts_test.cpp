// What holds of a cut model beside its numbers: bits, collectives, refusals, declarations.
#include <gtest/gtest.h>

#include "kernels/backend.h"
#include "model/decode.h"
#include "model/mesh_chains.h"
#include "model/transformer.h"

namespace hearth::test {
namespace {

void expect_same_bits(const Outcome& a, const Outcome& b) {
  EXPECT_EQ(a.values, b.values);
  EXPECT_EQ(a.gradients, b.gradients);
}

/// Twice the same, and the same again when forward runs again before backward.
TEST(Mesh, EveryRunHasTheSameBits) {
  const Chain chain = model(4, 1, 97, 9);
  for (const AxisSizes& axes : {AxisSizes{2, 2}, AxisSizes{4, 1}, AxisSizes{1, 4}}) {
    const Documents some = documents(axes, 97);
    MeshRun how = {.axes = axes, .compute = Dtype::bf16, .plain = false, .rounded = Dtype::bf16};
    const Outcome once = run(chain, some, how);
    expect_same_bits(run(chain, some, how), once);
    how.recompute = true;
    expect_same_bits(run(chain, some, how), once);
  }
}

/// What ranks say to each other depends on sizes alone; on axes of one they say nothing.
TEST(Mesh, CollectivesDoNotDependOnData) {
  const Chain chain = model(4, 2, 97, 3);
  for (const AxisSizes& axes : meshes) {
    if (!fits(axes, 4, 2)) continue;
    SCOPED_TRACE(text(axes));
    const bool cut = axes.tensor > 1;
    const auto others = static_cast<std::uint64_t>(axes.context - 1);
    for (const std::vector<std::int32_t>& lengths : {std::vector{46}, {1, 1, 1, 1, 42}, {6, 40}}) {
      const Outcome found = run(chain, documents(axes, 97, lengths), {.axes = axes});
      for (const Traffic& traffic : found.tensor) {
        // Gathers: embedding 1 (dy), attention 3 (n, n, dy), mlp 3, head x twice and statistics twice, logits and x of
        // logits. Sums: embedding 1, attention 2 (y, dn), mlp 2, head 1.
        EXPECT_EQ(traffic.gather.calls, cut ? 13U : 0U);
        EXPECT_EQ(traffic.reduce_scatter.calls, cut ? 6U : 0U);
        EXPECT_EQ(traffic.exchange.calls + traffic.sum.calls + traffic.point.calls, 0U);
      }
      for (const Traffic& traffic : found.context) {
        // Keys and values forward and back, their gradients back: C - 1 passes twice, and C.
        EXPECT_EQ(traffic.exchange.calls, others == 0 ? 0U : 3 * others + 1);
        EXPECT_EQ(traffic.gather.calls + traffic.reduce_scatter.calls + traffic.sum.calls, 0U);
      }
    }
  }
}

TEST(Mesh, SizesThatDoNotDivideAreRefused) {
  EXPECT_THROW(attention(attention_sizes(4, 2)).blocks({3, 1}), Error) << "query heads";
  EXPECT_THROW(attention(attention_sizes(12, 3)).blocks({4, 1}), Error) << "key-value heads";
  const auto blocks = mlp(10).blocks({2, 1});
  EXPECT_EQ(blocks[0]->out({.tokens = 6, .capacity = 6}), (Dims{3, width}));
  EXPECT_THROW(blocks[0]->out({.tokens = 5, .capacity = 6}), Error) << "rows are never dropped";
}

/// Ranges that were cut for another window would be wrong in silence.
TEST(Mesh, TheWindowOfTheRangesIsTheBlocks) {
  Chain chain = attention(attention_sizes(4, 2));
  chain.window = 5;
  EXPECT_THROW(run(chain, documents({1, 2}), {.axes = {1, 2}}), Error);
}

TEST(Mesh, TransformerHandsItsAxesToAllBlocks) {
  ModelConfig config;
  config.vocabulary = 97;
  config.width = 10;
  config.hidden = 14;
  config.layers = 2;
  config.heads = 8;
  config.key_value_heads = 2;
  config.head_width = 6;
  config.attention_bias = config.query_key_norm = true;
  const Transformer whole(config);
  for (const Parameter& parameter : whole.parameters()) EXPECT_EQ(parameter.pieces, 1) << parameter.name;
  const Transformer cut(config, 0, Init::normal, {4, 2});
  EXPECT_EQ(cut.axes().tensor, 4);
  EXPECT_EQ(cut.axes().context, 2);
  for (const Parameter& parameter : cut.parameters()) {
    const bool shared =
        parameter.name.find(".key") != std::string::npos || parameter.name.find(".value") != std::string::npos;
    const bool gain = parameter.name.find("norm") != std::string::npos;
    EXPECT_EQ(parameter.pieces, gain ? 1 : shared ? 2 : 4) << parameter.name;
    EXPECT_EQ(parameter.cut == Cut::none, gain) << parameter.name;
    EXPECT_EQ(parameter.copies == Copies::add, gain || shared) << parameter.name;
  }
  for (int i = 0; i + 1 < cut.blocks(); ++i) {
    EXPECT_EQ(cut.block(i).out({.tokens = 8, .capacity = 8}), (Dims{2, 10})) << cut.block(i).name();
  }
  const auto backend = make_plain_backend();
  class NoWeights final : public WeightSource {
   public:
    void prefetch(int) override {}
    std::span<const Tensor> whole(int) override { return {}; }
    void release(int) override {}
  } none;
  EXPECT_THROW(Decoder(cut, none, backend->ops(), backend->memory(), Dtype::f64, 4), Error);
}

}  // namespace
}  // namespace hearth::test
