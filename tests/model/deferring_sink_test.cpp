// Weight gradients that were put off are those that were not, bit for bit, although everything that backward touched
// has become NaN in between.
#include "model/deferring_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <functional>
#include <limits>

#include "model/attention.h"
#include "model/block_bench.h"
#include "model/embedding.h"
#include "model/final_norm.h"
#include "model/mlp.h"

namespace hearth {
namespace {

using test::BlockBench;

const Law law = {Law::Kind::normal, 0.02F};
constexpr std::int64_t width = 10;
constexpr std::int64_t head_width = 6;
constexpr std::int64_t capacity = 24;  // tokens of the longest microbatch; those of the tests are shorter

std::unique_ptr<Block> attention(bool extras) {
  return std::make_unique<Attention>("layers.0.attention", AttentionSizes{.width = width,
                                                                          .heads = 4,
                                                                          .key_value_heads = 2,
                                                                          .head_width = head_width,
                                                                          .biases = extras,
                                                                          .head_norms = extras,
                                                                          .epsilon = 1e-6,
                                                                          .law = law});
}

std::vector<std::unique_ptr<Block>> every_block() {
  std::vector<std::unique_ptr<Block>> blocks;
  blocks.push_back(std::make_unique<Embedding>(11, width, law));
  blocks.push_back(attention(false));
  blocks.push_back(attention(true));
  blocks.push_back(std::make_unique<Mlp>("layers.0.mlp", MlpSizes{width, 9, 1e-5, law}));
  blocks.push_back(std::make_unique<FinalNorm>(width, 1e-6));
  return blocks;
}

std::vector<std::byte> bytes_of(const std::vector<Tensor>& tensors) {
  std::vector<std::byte> all;
  for (const Tensor& tensor : tensors) {
    const auto* const data = static_cast<const std::byte*>(tensor.data);
    all.insert(all.end(), data, data + tensor.bytes());
  }
  return all;
}

/// Every byte 0xFF: NaN in all float dtypes.
void poison(In tensor) {
  std::memset(tensor.data, 0xFF, tensor.bytes());
}

/// One microbatch on a block, whose activations and scratch may be poisoned.
class Microbatch {
 public:
  Microbatch(const Block& block, Backend& backend, Dtype dtype, const std::vector<std::int32_t>& lengths,
             KeptMemory& memory)
      : block_(block), memory_(memory), bench_(block, backend, dtype, test::documents(lengths, 11, 3), head_width) {
    first_ = block.name() == "embedding";
    const Dims rows = {bench_.shape().tokens, width};
    x_ = first_ ? bench_.batch().tokens : bench_.noise(rows, 1);
    y_ = bench_.tensor(dtype, rows);
    dy_ = bench_.noise(rows, 2);
    dx_ = bench_.tensor(dtype, rows);
    dtype_ = dtype;
  }

  BatchShape shape() const { return {bench_.shape().tokens, capacity}; }
  const std::vector<Tensor>& gradients() { return bench_.gradients(); }

  void backward(GradientSink& sink, bool in_place) {
    const auto kept = block_.activations(shape(), dtype_, memory_);
    Pass pass = bench_.pass(sink);
    block_.forward(x_, y_, *kept, pass);
    const Tensor dx = in_place ? dy_ : dx_;
    block_.backward(x_, *kept, dy_, first_ ? Tensor() : dx, pass);
    sink.join();
    kept->shed();
  }

  /// Everything that backward could have given to a sink; what the sink holds itself is not among it.
  void poison_all() {
    for (const Tensor& tensor : {y_, dy_, dx_}) poison(tensor);
    if (first_) {
      for (std::int32_t& token : x_.span<std::int32_t>()) token = 0;
    } else {
      poison(x_);
    }
    IgnoringSink nobody;
    Pass pass = bench_.pass(nobody);
    {
      Scratch scratch(pass.scratch);
      for (int i = 0; i < 20; ++i) poison(scratch.take(Dtype::f64, {capacity, 16}));
    }
    // The buffers that the activations gave back, taken again by a microbatch of NaN.
    const auto kept = block_.activations(shape(), dtype_, memory_);
    block_.forward(x_, y_, *kept, pass);
    block_.backward(x_, *kept, dy_, first_ ? Tensor() : dx_, pass);
  }

 private:
  const Block& block_;
  KeptMemory& memory_;
  BlockBench bench_;
  Dtype dtype_ = Dtype::f32;
  bool first_ = false;
  Tensor x_, y_, dy_, dx_;
};

struct Case {
  Dtype dtype;
  std::function<std::unique_ptr<Backend>()> backend;
};

std::vector<Case> every_case() {
  return {{Dtype::f64, [] { return make_plain_backend(); }},
          {Dtype::f32, [] { return make_cpu_backend({.threads = 1}); }},
          {Dtype::bf16, [] { return make_cpu_backend({.threads = 1}); }}};
}

std::vector<std::byte> direct_gradients(const Block& block, Backend& backend, Dtype dtype,
                                        const std::vector<std::int32_t>& lengths) {
  KeptMemory memory(backend.memory());
  Microbatch microbatch(block, backend, dtype, lengths, memory);
  AccumulatingSink sink(backend.ops(), microbatch.gradients());
  microbatch.backward(sink, true);
  return bytes_of(microbatch.gradients());
}

TEST(DeferringSink, AddsLaterWhatWouldHaveBeenAddedAtOnce) {
  for (const auto& block : every_block()) {
    for (const Case& c : every_case()) {
      for (const bool in_place : {true, false}) {
        const auto backend = c.backend();
        const auto expected = direct_gradients(*block, *backend, c.dtype, {9, 4});
        KeptMemory memory(backend->memory());
        Microbatch microbatch(*block, *backend, c.dtype, {9, 4}, memory);
        DeferringSink sink(backend->ops(), memory, microbatch.shape());
        microbatch.backward(sink, in_place);
        const std::vector<std::byte> untouched(expected.size());
        EXPECT_EQ(bytes_of(microbatch.gradients()), untouched) << block->name();
        EXPECT_NE(expected, untouched) << block->name() << ": nothing would be compared";
        EXPECT_FALSE(sink.empty());
        microbatch.poison_all();
        sink.contract(microbatch.gradients());
        EXPECT_EQ(bytes_of(microbatch.gradients()), expected)
            << block->name() << ", " << name_of(c.dtype) << ", in place: " << in_place;
        EXPECT_TRUE(sink.empty());
      }
    }
  }
}

/// As on the last stage of a zero-bubble pipeline: several backwards, each put off, of microbatches of several lengths.
/// Once it has been through once, no memory is taken any more.
TEST(DeferringSink, SeveralAreUnderWayAndAWarmStepTakesNoMemory) {
  for (const auto& block : every_block()) {
    const auto backend = make_cpu_backend({.threads = 1});
    const std::vector<std::vector<std::int32_t>> all_lengths = {{9, 4}, {5}, {13, 7}, {1, 1, 1}};
    KeptMemory memory(backend->memory());
    std::deque<Microbatch> microbatches;
    std::vector<std::vector<std::byte>> expected;
    for (const auto& lengths : all_lengths) {
      microbatches.emplace_back(*block, *backend, Dtype::f32, lengths, memory);
      expected.push_back(direct_gradients(*block, *backend, Dtype::f32, lengths));
    }
    std::uint64_t warm = 0;
    for (int step = 0; step < 3; ++step) {
      std::deque<DeferringSink> sinks;
      const auto contract = [&](std::size_t i) {
        for (const Tensor& gradient : microbatches[i].gradients()) backend->ops().fill(0, gradient);
        sinks[i].contract(microbatches[i].gradients());
        EXPECT_EQ(bytes_of(microbatches[i].gradients()), expected[i]) << block->name() << i << " in step " << step;
      };
      const auto backward = [&](std::size_t i) {
        sinks.emplace_back(backend->ops(), memory, microbatches[i].shape());
        microbatches[i].backward(sinks[i], false);
      };
      backward(0);
      backward(1);
      contract(0);
      backward(2);
      backward(3);
      for (std::size_t i = 1; i < 4; ++i) contract(i);
      if (step == 1) warm = backend->memory().takes();
    }
    EXPECT_EQ(backend->memory().takes(), warm) << block->name();
  }
}

/// Bytes of a full microbatch, counted by hand.
TEST(DeferringSink, HoldsNoMoreThanItNeeds) {
  const auto held = [](const Block& block) {
    const auto backend = make_cpu_backend({.threads = 1});
    KeptMemory memory(backend->memory());
    Microbatch microbatch(block, *backend, Dtype::f32, {9, 4}, memory);
    DeferringSink sink(backend->ops(), memory, microbatch.shape());
    microbatch.backward(sink, true);
    const std::size_t bytes = sink.bytes();
    sink.contract(microbatch.gradients());
    EXPECT_EQ(sink.bytes(), 0U);
    return bytes;
  };
  const std::size_t t = capacity * sizeof(float);
  constexpr std::size_t D = width, F = 9, NH = 4 * head_width, KH = 2 * head_width, H = head_width;
  const auto blocks = every_block();
  EXPECT_EQ(held(*blocks[0]), t * (1 + D));                                           // tokens, dy
  const std::size_t linears = t * (NH + D + D + NH + KH + KH);                        // y, dy; n once; dq, dk, dv
  EXPECT_EQ(held(*blocks[1]), linears + sizeof(float) * D);                           // the norm's sum
  EXPECT_EQ(held(*blocks[2]), linears + sizeof(float) * (D + NH + KH + KH + H + H));  // biases and head norms too
  EXPECT_EQ(held(*blocks[3]), t * (F + D + D + F + F) + sizeof(float) * D);           // h, dy; n once; dgate, dup
  EXPECT_EQ(held(*blocks[4]), sizeof(float) * D);
}

/// An input is shared only as long as it is the same numbers, whatever lies at the same place.
TEST(DeferringSink, AnOverwrittenInputIsNotShared) {
  const auto backend = make_cpu_backend({.threads = 1});
  Ops& ops = backend->ops();
  const auto matrix = [&](std::vector<float>& of) { return Tensor(of.data(), Dtype::f32, {2, 2}); };
  std::vector<float> a = {1, 2, 3, 4}, dy = {1, 0, 0, 1}, first(4), second(4), third(4);
  KeptMemory memory(backend->memory());
  DeferringSink sink(ops, memory, {2, 2});
  sink.linear(0, matrix(a), matrix(dy), Tensor(), 1);
  sink.linear(1, matrix(a), matrix(dy), Tensor(), 2);
  const std::size_t shared = sink.bytes();
  a = {5, 6, 7, 8};
  sink.linear(2, matrix(a), matrix(dy), Tensor(), 1);
  EXPECT_EQ(shared, 3 * 16U);
  EXPECT_EQ(sink.bytes(), 5 * 16U);
  a = {0, 0, 0, 0};
  const std::vector<Tensor> gradients = {matrix(first), matrix(second), matrix(third)};
  sink.contract(gradients);
  EXPECT_THAT(first, testing::ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(second, testing::ElementsAre(2, 4, 6, 8));
  EXPECT_THAT(third, testing::ElementsAre(5, 6, 7, 8));
}

/// Parts of one gradient that come one after the other are added in that order; memory of a sink that is never
/// contracted goes back.
TEST(DeferringSink, PartsOfOneGradientAndASinkThatIsDropped) {
  const auto backend = make_plain_backend();
  Ops& ops = backend->ops();
  std::vector<double> values = {1e16, 1, -1e16, 1};
  std::vector<double> direct(2), deferred(2);
  KeptMemory memory(backend->memory());
  const auto contract = [&](GradientSink& sink) {
    for (std::int64_t i = 0; i < 4; ++i) {
      const Tensor one(&values[static_cast<std::size_t>(i)], Dtype::f64, {1, 1});
      sink.linear(0, Tensor(), one, Tensor(), 0.5);
      sink.gain(1, one, one, Tensor());
    }
  };
  const auto gradients = [](std::vector<double>& of) {
    return std::vector<Tensor>{Tensor(of.data(), Dtype::f64, {1}), Tensor(&of[1], Dtype::f64, {1})};
  };
  const auto direct_tensors = gradients(direct);
  AccumulatingSink now(ops, direct_tensors);
  contract(now);
  for (int round = 0; round < 2; ++round) {
    deferred = {0, 0};
    DeferringSink later(ops, memory, {1, 1});
    contract(later);
    later.contract(gradients(deferred));
    EXPECT_EQ(deferred, direct);
    contract(later);  // and left
  }
  const auto takes = backend->memory().takes();
  DeferringSink again(ops, memory, {1, 1});
  contract(again);
  EXPECT_EQ(backend->memory().takes(), takes) << "what the dropped sinks held was handed on";
}

}  // namespace
}  // namespace hearth
