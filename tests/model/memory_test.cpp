// What a block says beforehand of its memory is what its calls take.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "model/attention.h"
#include "model/block_bench.h"
#include "model/embedding.h"
#include "model/final_norm.h"
#include "model/head.h"
#include "model/mlp.h"

namespace hearth {
namespace {

using test::BlockBench;

constexpr std::int64_t width = 10;
constexpr std::int64_t vocabulary = 11;
const Law law = {Law::Kind::normal, 0.02F};

std::vector<std::unique_ptr<Block>> all_blocks() {
  std::vector<std::unique_ptr<Block>> blocks;
  for (const bool biases : {false, true}) {
    for (const bool norms : {false, true}) {
      for (const std::int64_t head_width : {2, 6}) {  // queries narrower and wider than the residual stream
        blocks.push_back(std::make_unique<Attention>("layers.0.attention", AttentionSizes{.width = width,
                                                                                          .heads = 4,
                                                                                          .key_value_heads = 2,
                                                                                          .head_width = head_width,
                                                                                          .biases = biases,
                                                                                          .head_norms = norms,
                                                                                          .epsilon = 1e-6,
                                                                                          .law = law}));
      }
    }
  }
  blocks.push_back(
      std::make_unique<Mlp>("layers.0.mlp", MlpSizes{.width = width, .hidden = 24, .epsilon = 1e-6, .law = law}));
  blocks.push_back(std::make_unique<FinalNorm>(width, 1e-6));
  blocks.push_back(std::make_unique<Embedding>(vocabulary, width, law));
  return blocks;
}

std::int64_t head_width_of(const Block& block) {
  for (const Parameter& parameter : block.parameters()) {
    if (parameter.name.ends_with(".query")) return parameter.full[0] / 4;
  }
  return 2;
}

/// Calls `check` with each block on a bench whose scratch is one piece, so that what is in use is what was asked for.
void on_benches(const std::vector<std::int32_t>& lengths,
                const std::function<void(const Block&, BlockBench&, Dtype)>& check) {
  for (const auto& block : all_blocks()) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      const auto backend = make_cpu_backend({.threads = 1});
      BlockBench bench(*block, *backend, dtype, test::documents(lengths, vocabulary, 3), head_width_of(*block));
      bench.scratch().reserve(std::size_t{1} << 20);
      SCOPED_TRACE(fmt::format("{}, {}", block->name(), name_of(dtype)));
      check(*block, bench, dtype);
    }
  }
}

Tensor input_of(const Block& block, BlockBench& bench) {
  return block.name() == "embedding" ? bench.batch().tokens : bench.noise({bench.shape().tokens, width}, 1);
}

TEST(BlockMemory, KeptSizesAreWhatForwardHolds) {
  on_benches({64, 7}, [](const Block& block, BlockBench& bench, Dtype dtype) {
    const Tensor y = bench.tensor(dtype, {bench.shape().tokens, width});
    IgnoringSink sink;
    Pass pass = bench.pass(sink);
    for (const std::int64_t capacity : {std::int64_t{71}, std::int64_t{100}}) {
      const BatchShape shape = {bench.shape().tokens, capacity};
      HostMemory memory;
      KeptMemory counted(memory);
      const auto kept = block.activations(shape, dtype, counted);
      block.forward(input_of(block, bench), y, *kept, pass);
      std::size_t rooms = 0;
      std::size_t sum = 0;
      for (const std::size_t size : block.kept_sizes(shape, dtype)) {
        rooms += Memory::room(size);
        sum += size;
      }
      EXPECT_EQ(memory.now(), rooms);
      EXPECT_EQ(block.kept_bytes(shape, dtype), sum);
    }
  });
}

TEST(BlockMemory, ScratchBytesAreWhatForwardAndBackwardUse) {
  on_benches({64, 7}, [](const Block& block, BlockBench& bench, Dtype dtype) {
    const std::int64_t rows = bench.shape().tokens;
    const Tensor x = input_of(block, bench);
    const Tensor y = bench.tensor(dtype, {rows, width});
    const Tensor dx = bench.tensor(dtype, {rows, width});
    const auto kept = block.activations(bench.shape(), dtype, bench.kept());
    const ScratchBytes planned = block.scratch_bytes(bench.shape(), dtype);
    AccumulatingSink sink(bench.backend().ops(), bench.gradients());
    Pass pass = bench.pass(sink);
    block.forward(x, y, *kept, pass);
    EXPECT_EQ(bench.scratch().largest(), planned.forward);
    block.backward(x, *kept, y, block.name() == "embedding" ? Tensor() : dx, pass);
    EXPECT_EQ(bench.scratch().largest(), std::max(planned.forward, planned.backward));
    EXPECT_GE(planned.backward, planned.forward) << "what is left of the comparison above";
  });
}

TEST(BlockMemory, ScratchBytesOfTheHeadAreThoseOfItsChunks) {
  const Head head("head", vocabulary, width, law, 0.1);
  for (const std::int32_t rows : {1, 5, 255, 256, 257, 700}) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      SCOPED_TRACE(fmt::format("{} rows, {}", rows, name_of(dtype)));
      const auto backend = make_cpu_backend({.threads = 1});
      BlockBench bench(head, *backend, dtype, test::documents({rows}, vocabulary, 3), 2);
      bench.scratch().reserve(std::size_t{1} << 20);
      const Tensor x = bench.noise({rows, width}, 1);
      const Tensor losses = bench.tensor(Dtype::f32, {rows});
      const ScratchBytes planned = head.scratch_bytes(bench.shape(), dtype);
      AccumulatingSink sink(bench.backend().ops(), bench.gradients());
      Pass pass = bench.pass(sink);
      head.forward(x, losses.as({rows, 1}), *head.activations(bench.shape(), dtype, bench.kept()), pass);
      EXPECT_EQ(bench.scratch().largest(), planned.forward);
      head.loss_and_gradient(x, losses, x, pass);
      EXPECT_EQ(bench.scratch().largest(), planned.backward);
    }
  }
}

}  // namespace
}  // namespace hearth
