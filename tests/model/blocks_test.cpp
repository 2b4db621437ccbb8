// Every block's adjoint against finite differences, in double; recomputation; documents that do not see each other.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/attention.h"
#include "model/block_bench.h"
#include "model/embedding.h"
#include "model/final_norm.h"
#include "model/head.h"
#include "model/mlp.h"
#include "support/worse.h"

namespace hearth {
namespace {

using test::BlockBench;

const Law law = {Law::Kind::normal, 0.02F};

AttentionSizes attention_sizes() {
  return {.width = 10, .heads = 4, .key_value_heads = 2, .head_width = 6, .epsilon = 1e-6, .law = law};
}

double dot(In a, In b) {
  double total = 0;
  const auto x = a.span<double>();
  const auto y = b.span<double>();
  for (std::size_t i = 0; i < x.size(); ++i) total += x[i] * y[i];
  return total;
}

/// The derivative of f along every element of `variable`, by central differences, against `analytic`. In double with
/// steps of h the error is h^2 (third derivative) + eps / h: with h = 1e-5 both are below 1e-9 for values of order one;
/// 1e-6 leaves room for the size of derivatives, and is far below any wrong term.
void expect_derivative(In variable, In analytic, const std::function<double()>& f, const std::string& what) {
  constexpr double h = 1e-5;
  double worst = 0;
  double largest = 1;
  for (std::int64_t i = 0; i < variable.elements(); ++i) {
    double& element = variable.span<double>()[static_cast<std::size_t>(i)];
    const double there = element;
    element = there + h;
    const double up = f();
    element = there - h;
    const double down = f();
    element = there;
    const double found = analytic.span<double>()[static_cast<std::size_t>(i)];
    worst = test::worse(worst, std::abs((up - down) / (2 * h) - found));
    largest = std::max(largest, std::abs(found));
  }
  EXPECT_LT(worst, 1e-6 * largest) << what;
}

/// dx and all weight gradients of an ordinary block.
void check_adjoint(const Block& block, std::int64_t width, std::int64_t head_width) {
  const auto backend = make_plain_backend();
  const Documents docs = test::documents({5, 1, 4}, 11, 3);
  BlockBench bench(block, *backend, Dtype::f64, docs, head_width);
  const std::int64_t rows = bench.batch().tokens.rows();
  const bool first = block.name() == "embedding";
  const Tensor x = first ? bench.batch().tokens : bench.noise({rows, width}, 1);
  const Tensor y = bench.tensor(Dtype::f64, {rows, width});
  const Tensor dy = bench.noise({rows, width}, 2);
  const Tensor dx = bench.tensor(Dtype::f64, {rows, width});
  const auto kept = block.activations(bench.shape(), Dtype::f64, bench.kept());
  AccumulatingSink sink(backend->ops(), bench.gradients());
  const auto f = [&] {
    Pass pass = bench.pass(sink);
    block.forward(x, y, *kept, pass);
    return dot(y, dy);
  };
  f();
  {
    Pass pass = bench.pass(sink);
    block.backward(x, *kept, dy, first ? Tensor() : dx, pass);
  }
  if (!first) expect_derivative(x, dx, f, block.name() + " dx");
  const auto parameters = block.parameters();
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    expect_derivative(bench.weights()[p], bench.gradients()[p], f, parameters[p].name);
  }
}

TEST(Adjoint, Embedding) {
  check_adjoint(Embedding(11, 6, law), 6, 2);
}
TEST(Adjoint, FinalNorm) {
  check_adjoint(FinalNorm(7, 1e-6), 7, 2);
}
TEST(Adjoint, Mlp) {
  check_adjoint(Mlp("layers.0.mlp", {.width = 7, .hidden = 9, .epsilon = 1e-5, .law = law}), 7, 2);
}
TEST(Adjoint, Attention) {
  check_adjoint(Attention("layers.0.attention", attention_sizes()), 10, 6);
}
TEST(Adjoint, AttentionWithBiases) {
  AttentionSizes sizes = attention_sizes();
  sizes.biases = true;
  check_adjoint(Attention("layers.0.attention", sizes), 10, 6);
}
TEST(Adjoint, AttentionWithHeadNorms) {
  AttentionSizes sizes = attention_sizes();
  sizes.head_norms = true;
  check_adjoint(Attention("layers.0.attention", sizes), 10, 6);
}
TEST(Adjoint, AttentionWithAllOfIt) {
  AttentionSizes sizes = attention_sizes();
  sizes.biases = sizes.head_norms = true;
  sizes.window = 3;
  sizes.key_value_heads = 1;
  check_adjoint(Attention("layers.0.attention", sizes), 10, 6);
}

TEST(Adjoint, Head) {
  for (const double smoothing : {0.0, 0.1}) {
    const auto backend = make_plain_backend();
    const Head head("head", 11, 5, law, smoothing);
    BlockBench bench(head, *backend, Dtype::f64, test::documents({5, 1, 4}, 11, 3), 2);
    const std::int64_t rows = bench.batch().tokens.rows();
    const Tensor x = bench.noise({rows, 5}, 1);
    const Tensor losses = bench.tensor(Dtype::f64, {rows});
    const Tensor again = bench.tensor(Dtype::f64, {rows, 1});
    const Tensor dx = bench.tensor(Dtype::f64, {rows, 5});
    AccumulatingSink sink(backend->ops(), bench.gradients());
    IgnoringSink ignore;
    const auto kept = head.activations(bench.shape(), Dtype::f64, bench.kept());
    const auto f = [&] {
      Pass pass = bench.pass(ignore);
      head.forward(x, again, *kept, pass);
      double total = 0;
      for (std::int64_t t = 0; t < rows; ++t) {
        total += static_cast<double>(bench.batch().weights.row<float>(t)[0]) * again.row<double>(t)[0];
      }
      return total;
    };
    {
      Pass pass = bench.pass(sink);
      head.loss_and_gradient(x, losses, dx, pass);
    }
    f();
    for (std::int64_t t = 0; t < rows; ++t) EXPECT_EQ(losses.row<double>(t)[0], again.row<double>(t)[0]);
    expect_derivative(x, dx, f, "head dx");
    expect_derivative(bench.weights()[0], bench.gradients()[0], f, "head weight");
  }
}

/// Shedding and running forward again leaves the same bits, for every block that keeps anything.
TEST(Blocks, RecomputationChangesNothing) {
  AttentionSizes sizes = attention_sizes();
  sizes.biases = sizes.head_norms = true;
  const Attention attention("layers.0.attention", sizes);
  const Mlp mlp("layers.0.mlp", {.width = 10, .hidden = 9, .epsilon = 1e-5, .law = law});
  const FinalNorm norm(10, 1e-6);
  for (const Block* block :
       {static_cast<const Block*>(&attention), static_cast<const Block*>(&mlp), static_cast<const Block*>(&norm)}) {
    const auto backend = make_cpu_backend({.threads = 1});
    BlockBench bench(*block, *backend, Dtype::f32, test::documents({9, 4}, 11, 3), 6);
    const Tensor x = bench.noise({13, 10}, 1);
    const Tensor dy = bench.noise({13, 10}, 2);
    const Tensor y = bench.tensor(Dtype::f32, {13, 10});
    const Tensor dx = bench.tensor(Dtype::f32, {13, 10});
    const Tensor dx_again = bench.tensor(Dtype::f32, {13, 10});
    IgnoringSink sink;
    const auto kept = block->activations(bench.shape(), Dtype::f32, bench.kept());
    Pass pass = bench.pass(sink);
    block->forward(x, y, *kept, pass);
    block->backward(x, *kept, dy, dx, pass);
    const auto before = backend->memory().now();
    kept->shed();
    EXPECT_TRUE(kept->is_shed());
    EXPECT_THROW(block->backward(x, *kept, dy, dx_again, pass), Error);
    block->forward(x, y, *kept, pass);
    block->backward(x, *kept, dy, dx_again, pass);
    EXPECT_EQ(backend->memory().now(), before) << "shed memory is handed round";
    for (std::size_t i = 0; i < 130; ++i) EXPECT_EQ(dx.span<float>()[i], dx_again.span<float>()[i]);
  }
}

/// A document's rows are the same bits alone and beside others.
TEST(Blocks, DocumentsDoNotSeeEachOther) {
  const Attention block("layers.0.attention", attention_sizes());
  const auto backend = make_plain_backend();
  BlockBench together(block, *backend, Dtype::f64, test::documents({7, 6}, 11, 3), 6);
  BlockBench alone(block, *backend, Dtype::f64, test::documents({6}, 11, 3), 6);
  const Tensor x = together.noise({13, 10}, 1);
  const Tensor y = together.tensor(Dtype::f64, {13, 10});
  const Tensor y_alone = together.tensor(Dtype::f64, {6, 10});
  IgnoringSink sink;
  Pass pass = together.pass(sink);
  Pass pass_alone = alone.pass(sink);
  block.forward(x, y, *block.activations(together.shape(), Dtype::f64, together.kept()), pass);
  block.forward(x.row_slice(7, 6), y_alone, *block.activations(alone.shape(), Dtype::f64, alone.kept()), pass_alone);
  for (std::int64_t t = 0; t < 6; ++t) {
    for (std::int64_t d = 0; d < 10; ++d) EXPECT_DOUBLE_EQ(y.row<double>(7 + t)[d], y_alone.row<double>(t)[d]);
  }
}

}  // namespace
}  // namespace hearth
