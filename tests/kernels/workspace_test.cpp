// What a backend says its ops will hold is what they hold after the calls.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/backend.h"

namespace hearth::test {
namespace {

std::vector<Bf16Products> ways() {
  std::vector<Bf16Products> all = {Bf16Products::widened};
  try {
    make_cpu_backend({.bf16_products = Bf16Products::native});
    all.push_back(Bf16Products::native);
  } catch (const Error&) {
    // this processor has none
  }
  return all;
}

/// Memory for one call's tensors, of any backend.
class Tensors {
 public:
  Tensor of(Dtype dtype, Dims dims) {
    buffers_.emplace_back(memory_, static_cast<std::size_t>(dims.elements()) * size_of(dtype));
    const Tensor tensor = buffers_.back().tensor(dtype, dims);
    std::fill_n(static_cast<std::byte*>(tensor.data), tensor.bytes(), std::byte{0});
    return tensor;
  }

 private:
  HostMemory memory_;
  std::vector<Buffer> buffers_;
};

void run(Ops& ops, const ProductShape& s) {
  Tensors tensors;
  const auto factor = [&](Turn turn, std::int64_t rows, std::int64_t columns) {
    return tensors.of(s.in, turn == Turn::yes ? Dims{columns, rows} : Dims{rows, columns});
  };
  const Tensor a = factor(s.turn_a, s.rows, s.length);
  const Tensor b = factor(s.turn_b, s.length, s.columns);
  ops.matmul(a, s.turn_a, b, s.turn_b, 1, s.write, tensors.of(s.out, {s.rows, s.columns}));
}

void run(Ops& ops, const AttentionCall& c) {
  Tensors tensors;
  const auto rows = [&](std::int64_t count, std::int64_t heads) {
    return tensors.of(c.dtype, {count, heads, c.head_width});
  };
  const Tensor first = tensors.of(Dtype::i32, {c.tokens});
  const Tensor last = tensors.of(Dtype::i32, {c.tokens});
  for (std::int64_t t = 0; t < c.tokens; ++t) {
    last.typed<std::int32_t>()[t] = static_cast<std::int32_t>(c.keys - c.tokens + t + 1);
  }
  const AttentionShape shape = {0.5F, c.window ? 3 : 0};
  const Tensor q = rows(c.tokens, c.heads);
  const Tensor k = rows(c.keys, c.key_value_heads);
  const Tensor y = rows(c.tokens, c.heads);
  const Tensor log_sum = tensors.of(Dtype::f32, {c.tokens, c.heads});
  ops.attention(q, k, k, first, last, shape, y, log_sum);
  if (!c.backward) return;
  ops.attention_backward(q, k, k, first, last, shape, y, log_sum, y, rows(c.tokens, c.heads),
                         rows(c.keys, c.key_value_heads), rows(c.keys, c.key_value_heads));
}

template <class Call>
void expect_held(const Call& call, Workload work, int threads, Bf16Products way, Isa isa = Isa::best) {
  const auto backend = make_cpu_backend({.threads = threads, .bf16_products = way, .isa = isa});
  const std::size_t planned = backend->workspace_bytes(work);
  EXPECT_EQ(backend->memory().now(), 0U) << "asking takes nothing";
  run(backend->ops(), call);
  EXPECT_EQ(backend->memory().now(), planned);
}

TEST(Workspace, OfProductsIsKnownBeforehand) {
  for (const Bf16Products way : ways()) {
    for (const Dtype in : {Dtype::f32, Dtype::bf16}) {
      for (const auto& [rows, length, columns] : std::vector<std::array<std::int64_t, 3>>{
               {1, 40, 70}, {4, 700, 33}, {5, 16, 16}, {46, 24, 40}, {64, 1500, 64}, {300, 96, 512}, {512, 300, 900}}) {
        for (const int turns : {0, 1, 2}) {  // as forward, the input's adjoint and the weight's adjoint turn them
          ProductShape shape{rows, length, columns, Turn::no, turns == 0 ? Turn::yes : Turn::no, Write::over, in, in};
          if (turns == 2) {
            shape.turn_a = Turn::yes;
            shape.write = Write::add;
            shape.out = Dtype::f32;
          }
          SCOPED_TRACE(fmt::format("({} x {} x {}) {} {} turns {}", rows, length, columns, name_of(in),
                                   way == Bf16Products::native ? "native" : "widened", turns));
          for (const int threads : {1, 3}) expect_held(shape, {{shape}, {}}, threads, way);
        }
      }
    }
  }
}

TEST(Workspace, OfAttentionIsKnownBeforehand) {
  for (const Isa isa : {Isa::sse41, Isa::best}) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      for (const auto& [tokens, keys, heads, key_heads, width] : std::vector<std::array<std::int64_t, 5>>{
               {5, 5, 4, 2, 8}, {97, 97, 6, 6, 10}, {200, 200, 8, 8, 64}, {50, 70, 16, 8, 4}, {3, 20, 2, 1, 2}}) {
        for (const bool backward : {false, true}) {
          for (const bool window : {false, true}) {
            const AttentionCall call{tokens, keys, heads, key_heads, width, window, backward, dtype};
            SCOPED_TRACE(fmt::format("{} of {} keys, {} of {} heads of {}, {}{}{}", tokens, keys, heads, key_heads,
                                     width, name_of(dtype), backward ? ", backward" : "", window ? ", window" : ""));
            for (const int threads : {1, 3}) expect_held(call, {{}, {call}}, threads, Bf16Products::widened, isa);
          }
        }
      }
    }
  }
}

TEST(Workspace, OfManyCallsIsThatOfTheLargest) {
  const ProductShape small{16, 16, 16, Turn::no, Turn::yes, Write::over, Dtype::bf16, Dtype::bf16};
  const ProductShape large{300, 500, 300, Turn::no, Turn::yes, Write::over, Dtype::bf16, Dtype::bf16};
  const AttentionCall attention{20, 20, 4, 2, 8, true, true, Dtype::bf16};
  const auto backend = make_cpu_backend({.threads = 2});
  const std::size_t all = backend->workspace_bytes({{small, large}, {attention}});
  EXPECT_EQ(all, backend->workspace_bytes({{large}, {}}) + backend->workspace_bytes({{}, {attention}}));
  run(backend->ops(), large);
  run(backend->ops(), attention);
  run(backend->ops(), small);
  EXPECT_EQ(backend->memory().now(), all);
  EXPECT_EQ(backend->memory().peak(), all);
  EXPECT_EQ(make_plain_backend()->workspace_bytes({{large}, {attention}}), 0U);
}

}  // namespace
}  // namespace hearth::test
