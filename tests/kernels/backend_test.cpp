// What a backend says of itself, what it refuses, and single facts about ops that the table of cases cannot state.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/backend.h"

namespace hearth::test {
namespace {

using testing::HasSubstr;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

TEST(CpuBackend, DescribesItself) {
  const auto backend = make_cpu_backend({.threads = 2, .bf16_products = Bf16Products::widened, .isa = Isa::sse41});
  EXPECT_THAT(backend->description(), HasSubstr("cpu, 2 threads, sse41, oneDNN "));
  EXPECT_THAT(backend->description(), HasSubstr("bf16 products widened"));
}

TEST(CpuBackend, RefusesNoThreads) {
  try {
    make_cpu_backend({.threads = 0});
    FAIL() << "0 threads were accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::usage);
    EXPECT_THAT(error.text(), HasSubstr("0 is no number of threads"));
  }
}

// Native products are there, or refused where the processor has none.
TEST(CpuBackend, NativeProductsAreRefusedByName) {
  try {
    const auto backend = make_cpu_backend({.threads = 1, .bf16_products = Bf16Products::native});
    EXPECT_THAT(backend->description(), HasSubstr("bf16 products native"));
    EXPECT_TRUE(has_native_bf16_products());
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Kind::machine);
    EXPECT_THAT(error.text(), HasSubstr("AVX512-BF16"));
    EXPECT_FALSE(has_native_bf16_products());
  }
}

TEST(CpuBackend, RefusesOtherDtypes) {
  const auto backend = make_cpu_backend({});
  std::array<double, 4> a{}, b{}, y{};
  EXPECT_THROW(
      backend->ops().matmul(Tensor(a.data(), Dtype::f64, {2, 2}), Turn::no, Tensor(b.data(), Dtype::f64, {2, 2}),
                            Turn::no, 1, Write::over, Tensor(y.data(), Dtype::f64, {2, 2})),
      Error);
}

TEST(CpuBackend, GivesItsMemoryBack) {
  const auto backend = make_cpu_backend({.threads = 2});
  EXPECT_EQ(backend->memory().now(), 0U);
}

class AdamWOf : public testing::Test {
 protected:
  // torch.optim.AdamW, single tensor, in double.
  void reference(double g, double factor) {
    w *= 1 - update.rate * update.decay;
    g *= factor;
    m += (1 - update.beta1) * (g - m);
    v = update.beta2 * v + (1 - update.beta2) * g * g;
    const double t = static_cast<double>(update.step);
    const double denominator = std::sqrt(v) / std::sqrt(1 - std::pow(update.beta2, t)) + update.epsilon;
    w -= update.rate / (1 - std::pow(update.beta1, t)) * m / denominator;
  }

  AdamW update{.rate = 0.003, .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-8, .decay = 0.1};
  double w = 0.7, m = 0, v = 0;
};

TEST_F(AdamWOf, FollowsTorchForManySteps) {
  const auto backend = make_cpu_backend({.threads = 2});
  std::array<float, 1> weight{0.7F}, first{}, second{}, gradient{};
  std::array<float, 2> control{0.25F, 1};
  const auto view = [](auto& array) {
    return Tensor(array.data(), Dtype::f32, {static_cast<std::int64_t>(array.size())});
  };
  w = weight[0];
  for (update.step = 1; update.step <= 50; ++update.step) {
    gradient[0] = static_cast<float>(std::sin(static_cast<double>(update.step)) * 1e-3);
    backend->ops().adamw(view(gradient), view(control), update, view(weight), view(first), view(second));
    reference(gradient[0], control[0]);
    // Each step rounds the weight (below 1) twice; the moments' relative errors are averages of a few roundings.
    ASSERT_NEAR(weight[0], w, 2 * 0x1p-24 * static_cast<double>(update.step) + 50 * update.rate * 8 * 0x1p-24);
  }
}

TEST_F(AdamWOf, LeavesEverythingAloneWhenSuppressed) {
  const auto backend = make_cpu_backend({.threads = 2});
  std::vector<float> gradient(100, nan), weight(100, 1), first(100, 2), second(100, 3);
  std::array<float, 2> control{nan, 0};
  const auto view = [](auto& array) {
    return Tensor(array.data(), Dtype::f32, {static_cast<std::int64_t>(array.size())});
  };
  backend->ops().adamw(view(gradient), view(control), update, view(weight), view(first), view(second));
  EXPECT_THAT(weight, testing::Each(1.0F));
  EXPECT_THAT(first, testing::Each(2.0F));
  EXPECT_THAT(second, testing::Each(3.0F));
}

// A step must not depend on where in its interval an element lies: shards are cut at other places on other meshes.
TEST_F(AdamWOf, GivesAnElementTheSameBitsEverywhere) {
  const auto backend = make_cpu_backend({.threads = 3});
  std::vector<float> weight(37, 0.3F), gradient(37, 0.017F), first(37, 0.01F), second(37, 0.002F);
  std::array<float, 2> control{0.5F, 1};
  const auto view = [](auto& array) {
    return Tensor(array.data(), Dtype::f32, {static_cast<std::int64_t>(array.size())});
  };
  backend->ops().adamw(view(gradient), view(control), update, view(weight), view(first), view(second));
  EXPECT_THAT(weight, testing::Each(weight[0]));
  EXPECT_THAT(first, testing::Each(first[0]));
  EXPECT_THAT(second, testing::Each(second[0]));
}

// exp is ours: saturation, NaN and the ends of its range, seen through swiglu and the head.
TEST(Exponential, SaturatesAndKeepsNan) {
  for (const Isa isa : {Isa::sse41, Isa::best}) {
    const auto backend = make_cpu_backend({.threads = 1, .isa = isa});
    std::vector<float> gate{0, 100, -100, 1000, -1000, 88.5F, -88.5F, nan, std::numeric_limits<float>::infinity()};
    std::vector<float> up(gate.size(), 1), y(gate.size());
    const auto view = [](auto& array) {
      return Tensor(array.data(), Dtype::f32, {1, static_cast<std::int64_t>(array.size())});
    };
    backend->ops().swiglu(view(gate), view(up), view(y));
    EXPECT_EQ(y[0], 0);
    EXPECT_EQ(y[1], 100);
    EXPECT_NEAR(y[2], 0, 1e-30);
    EXPECT_EQ(y[3], 1000);
    EXPECT_EQ(y[4], 0);
    EXPECT_EQ(y[5], 88.5F);
    EXPECT_NEAR(y[6], 0, 1e-30);
    EXPECT_TRUE(std::isnan(y[7]));
    EXPECT_EQ(y[8], std::numeric_limits<float>::infinity());
  }
}

// Relative error of e^x over its whole range: at most two units in the last place.
TEST(Exponential, IsExactToTwoUnits) {
  for (const Isa isa : {Isa::sse41, Isa::best}) {
    const auto backend = make_cpu_backend({.threads = 1, .isa = isa});
    std::vector<float> logits, weights{1};
    for (double x = 0; x > -86; x -= 0.00731) logits.push_back(static_cast<float>(x));
    std::vector<float> result(logits.size());
    std::vector<std::int32_t> target{static_cast<std::int32_t>(logits.size())};  // beyond these columns
    std::array<float, 4> statistics{0, 1, 0, 0};
    const auto count = static_cast<std::int64_t>(logits.size());
    backend->ops().head_backward(Tensor(logits.data(), Dtype::f32, {1, count}),
                                 Tensor(statistics.data(), Dtype::f32, {1, 4}), Tensor(target.data(), Dtype::i32, {1}),
                                 Tensor(weights.data(), Dtype::f32, {1}), 0, 0, count + 1,
                                 Tensor(result.data(), Dtype::f32, {1, count}));
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double right = std::exp(static_cast<double>(logits[i]));
      ASSERT_NEAR(result[i] / right, 1, 2 * 0x1p-23) << "e^" << logits[i];
    }
  }
}

// NaN reaches the results: the trainer's suppression depends on seeing it.
TEST(Attention, NanOfAQueryReachesItsResultOnly) {
  const auto backend = make_cpu_backend({.threads = 2});
  constexpr std::int64_t tokens = 30, width = 8;
  std::vector<float> q(tokens * width, 0.1F), k(q), v(q), y(q.size()), log_sum(tokens);
  std::vector<std::int32_t> first(tokens, 0), last(tokens);
  for (std::int64_t t = 0; t < tokens; ++t) last[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(t + 1);
  q[5 * width] = nan;
  const auto rows = [](std::vector<float>& x) { return Tensor(x.data(), Dtype::f32, {tokens, 1, width}); };
  backend->ops().attention(rows(q), rows(k), rows(v), Tensor(first.data(), Dtype::i32, {tokens}),
                           Tensor(last.data(), Dtype::i32, {tokens}), {0.3F, 0}, rows(y),
                           Tensor(log_sum.data(), Dtype::f32, {tokens, 1}));
  for (std::int64_t t = 0; t < tokens; ++t) {
    EXPECT_EQ(std::isnan(y[static_cast<std::size_t>(t * width + 3)]), t == 5) << t;
  }
}

}  // namespace
}  // namespace hearth::test
