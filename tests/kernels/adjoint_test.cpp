// Every adjoint against central differences of its forward, in double through the plain backend.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "kernels/backend.h"
#include "kernels/cases.h"
#include "kernels/guarded.h"
#include "kernels/table.h"

namespace hearth::test {
namespace {

using Tensors = std::vector<Tensor>;

/// A function y... = f(x...) and the op that maps dy... to dx... (added to zeros).
struct Adjoint {
  std::vector<Dims> inputs, outputs;
  std::function<void(Ops&, const Tensors& x, const Tensors& y)> forward;
  std::function<void(Ops&, const Tensors& x, const Tensors& y, const Tensors& dy, const Tensors& dx)> backward;
};

std::vector<Guarded> tensors_like(const std::vector<Dims>& dims) {
  std::vector<Guarded> memory;
  for (const Dims& one : dims) {
    memory.emplace_back(Dtype::f64, one);
    memory.back().set(std::vector<double>(static_cast<std::size_t>(one.elements()), 0.0));
  }
  return memory;
}

Tensors views(const std::vector<Guarded>& memory) {
  Tensors all;
  for (const Guarded& one : memory) all.push_back(one.tensor());
  return all;
}

// Sum of dy * f(x): its derivative along an element of x is the adjoint's element.
double objective(Ops& ops, const Adjoint& adjoint, const std::vector<Guarded>& x, std::vector<Guarded>& y,
                 const std::vector<Guarded>& dy) {
  adjoint.forward(ops, views(x), views(y));
  double total = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::vector<double> values = y[i].values();
    const std::vector<double> weights = dy[i].values();
    for (std::size_t j = 0; j < values.size(); ++j) total += weights[j] * values[j];
  }
  return total;
}

// With h = 1e-5 the differences err by h^2 times a third derivative (about 1 for these inputs, below 100 always) and by
// 2^-53 / h of the objective (below 100): 1e-8 and 1e-9.
void expect_adjoint(const Adjoint& adjoint) {
  constexpr double h = 1e-5;
  constexpr double allowed = 1e-7;
  const auto truth = make_plain_backend();
  std::vector<Guarded> x = tensors_like(adjoint.inputs);
  std::vector<Guarded> y = tensors_like(adjoint.outputs);
  std::vector<Guarded> dy = tensors_like(adjoint.outputs);
  std::vector<Guarded> dx = tensors_like(adjoint.inputs);
  for (std::size_t i = 0; i < x.size(); ++i) x[i].set(noise("x" + std::to_string(i), adjoint.inputs[i]));
  for (std::size_t i = 0; i < dy.size(); ++i) dy[i].set(noise("dy" + std::to_string(i), adjoint.outputs[i]));
  adjoint.forward(truth->ops(), views(x), views(y));
  adjoint.backward(truth->ops(), views(x), views(y), views(dy), views(dx));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::vector<double> center = x[i].values();
    const std::vector<double> found = dx[i].values();
    for (std::size_t j = 0; j < center.size(); ++j) {
      std::vector<double> moved = center;
      moved[j] = center[j] + h;
      x[i].set(moved);
      const double above = objective(truth->ops(), adjoint, x, y, dy);
      moved[j] = center[j] - h;
      x[i].set(moved);
      const double below = objective(truth->ops(), adjoint, x, y, dy);
      ASSERT_NEAR(found[j], (above - below) / (2 * h), allowed) << "input " << i << ", element " << j;
    }
    x[i].set(center);
  }
}

Guarded constant(Dtype dtype, Dims dims, const std::vector<double>& values) {
  Guarded tensor(dtype, dims);
  tensor.set(values);
  return tensor;
}

void products() {
  for (const Turn turn_a : {Turn::no, Turn::yes}) {
    for (const Turn turn_b : {Turn::no, Turn::yes}) {
      const Dims a = turn_a == Turn::yes ? Dims{4, 3} : Dims{3, 4};
      const Dims b = turn_b == Turn::yes ? Dims{5, 4} : Dims{4, 5};
      const auto other = [](Turn turn) { return turn == Turn::yes ? Turn::no : Turn::yes; };
      expect_adjoint({{a, b},
                      {{3, 5}},
                      [=](Ops& ops, const Tensors& x, const Tensors& y) {
                        ops.matmul(x[0], turn_a, x[1], turn_b, 0.7, Write::over, y[0]);
                      },
                      [=](Ops& ops, const Tensors& x, const Tensors&, const Tensors& dy, const Tensors& dx) {
                        if (turn_a == Turn::yes) {
                          ops.matmul(x[1], turn_b, dy[0], Turn::yes, 0.7, Write::add, dx[0]);
                        } else {
                          ops.matmul(dy[0], Turn::no, x[1], other(turn_b), 0.7, Write::add, dx[0]);
                        }
                        if (turn_b == Turn::yes) {
                          ops.matmul(dy[0], Turn::yes, x[0], turn_a, 0.7, Write::add, dx[1]);
                        } else {
                          ops.matmul(x[0], other(turn_a), dy[0], Turn::no, 0.7, Write::add, dx[1]);
                        }
                      }});
    }
  }
}

void bias() {
  expect_adjoint({{{5}},
                  {{3, 5}},
                  [](Ops& ops, const Tensors& x, const Tensors& y) {
                    ops.fill(0, y[0]);
                    ops.add_bias(x[0], y[0]);
                  },
                  [](Ops& ops, const Tensors&, const Tensors&, const Tensors& dy, const Tensors& dx) {
                    ops.bias_backward(dy[0], 1, dx[0]);
                  }});
}

void embedding() {
  const Guarded tokens = constant(Dtype::i32, {6}, {11, 9, 12, 11, 14, 10});
  expect_adjoint({{{4, 3}},
                  {{6, 3}},
                  [&](Ops& ops, const Tensors& x, const Tensors& y) { ops.embedding(tokens.tensor(), x[0], 10, y[0]); },
                  [&](Ops& ops, const Tensors&, const Tensors&, const Tensors& dy, const Tensors& dx) {
                    ops.embedding_backward(tokens.tensor(), dy[0], 10, dx[0]);
                  }});
}

void rms_norm() {
  Guarded inverse(Dtype::f64, {4});
  Guarded normalized(Dtype::f64, {4, 5});
  Guarded unused(Dtype::f64, {4});
  expect_adjoint(
      {{{4, 5}, {5}},
       {{4, 5}},
       [&](Ops& ops, const Tensors& x, const Tensors& y) { ops.rms_norm(x[0], x[1], 1e-3, y[0], inverse.tensor()); },
       [&](Ops& ops, const Tensors& x, const Tensors&, const Tensors& dy, const Tensors& dx) {
         ops.rms_norm_backward(x[0], x[1], inverse.tensor(), dy[0], dx[0]);
         ops.rms_normalize(x[0], inverse.tensor(), normalized.tensor());
         ops.gain_backward(normalized.tensor(), dy[0], dx[1]);
       }});
}

void rotate() {
  const Dims table{3, 2};
  const Guarded cosine = constant(Dtype::f64, table, noise("cosine", table));
  const Guarded sine = constant(Dtype::f64, table, noise("sine", table));
  Guarded turned(Dtype::f64, {3, 2, 4});
  expect_adjoint({{{3, 2, 4}},
                  {{3, 2, 4}},
                  [&](Ops& ops, const Tensors& x, const Tensors& y) {
                    ops.rotate(x[0], cosine.tensor(), sine.tensor(), Turn::no, y[0]);
                  },
                  [&](Ops& ops, const Tensors&, const Tensors&, const Tensors& dy, const Tensors& dx) {
                    ops.rotate(dy[0], cosine.tensor(), sine.tensor(), Turn::yes, dx[0]);
                  }});
}

void attention() {
  // Two documents and a query that sees nothing, two heads on each key head, with and without a window.
  const Guarded first = constant(Dtype::i32, {6}, {0, 0, 0, 3, 3, 3});
  const Guarded last = constant(Dtype::i32, {6}, {0, 2, 3, 4, 5, 7});
  Guarded log_sum(Dtype::f64, {6, 4});
  for (const std::int64_t window : {0, 2}) {
    const AttentionShape shape{0.6F, window};
    expect_adjoint({{{6, 4, 3}, {8, 2, 3}, {8, 2, 3}},
                    {{6, 4, 3}},
                    [&](Ops& ops, const Tensors& x, const Tensors& y) {
                      ops.attention(x[0], x[1], x[2], first.tensor(), last.tensor(), shape, y[0], log_sum.tensor());
                    },
                    [&](Ops& ops, const Tensors& x, const Tensors& y, const Tensors& dy, const Tensors& dx) {
                      ops.attention_backward(x[0], x[1], x[2], first.tensor(), last.tensor(), shape, y[0],
                                             log_sum.tensor(), dy[0], dx[0], dx[1], dx[2]);
                    }});
  }
}

// Keys in two parts: the second query sees none of the first part, the third none of the second, the first none at all.
void attention_in_parts() {
  const Guarded first[] = {constant(Dtype::i32, {5}, {0, 3, 3, 3, 3}), constant(Dtype::i32, {5}, {0, 0, 0, 1, 1})};
  const Guarded last[] = {constant(Dtype::i32, {5}, {0, 3, 4, 5, 5}), constant(Dtype::i32, {5}, {0, 2, 0, 2, 4})};
  const AttentionShape shape{0.6F, 0, true};
  Guarded log_sum(Dtype::f64, {5, 4}), part_log_sum(Dtype::f64, {5, 4}), part(Dtype::f64, {5, 4, 3});
  expect_adjoint({{{5, 4, 3}, {5, 2, 3}, {5, 2, 3}, {4, 2, 3}, {4, 2, 3}},
                  {{5, 4, 3}},
                  [&](Ops& ops, const Tensors& x, const Tensors& y) {
                    ops.attention(x[0], x[1], x[2], first[0].tensor(), last[0].tensor(), shape, y[0], log_sum.tensor());
                    ops.attention(x[0], x[3], x[4], first[1].tensor(), last[1].tensor(), shape, part.tensor(),
                                  part_log_sum.tensor());
                    ops.attention_merge(part.tensor(), part_log_sum.tensor(), y[0], log_sum.tensor());
                  },
                  [&](Ops& ops, const Tensors& x, const Tensors& y, const Tensors& dy, const Tensors& dx) {
                    for (const std::size_t i : {0U, 1U}) {
                      ops.attention_backward(x[0], x[2 * i + 1], x[2 * i + 2], first[i].tensor(), last[i].tensor(),
                                             shape, y[0], log_sum.tensor(), dy[0], dx[0], dx[2 * i + 1], dx[2 * i + 2]);
                    }
                  }});
}

void swiglu() {
  expect_adjoint({{{3, 4}, {3, 4}},
                  {{3, 4}},
                  [](Ops& ops, const Tensors& x, const Tensors& y) { ops.swiglu(x[0], x[1], y[0]); },
                  [](Ops& ops, const Tensors& x, const Tensors&, const Tensors& dy, const Tensors& dx) {
                    ops.swiglu_backward(x[0], x[1], dy[0], dx[0], dx[1]);
                  }});
}

// Losses of a vocabulary cut in two pieces.
void head() {
  const Guarded targets = constant(Dtype::i32, {4}, {0, 6, -1, 3});
  constexpr std::int64_t cut = 3, vocabulary = 7;
  Guarded statistics(Dtype::f64, {4, 4});
  for (const double smoothing : {0.0, 0.2}) {
    const auto whole = [&](Ops& ops, const Tensors& x) {
      Guarded pieces(Dtype::f64, {8, 4});
      ops.head_statistics(x[0], targets.tensor(), 0, pieces.tensor().row_slice(0, 4));
      ops.head_statistics(x[1], targets.tensor(), cut, pieces.tensor().row_slice(4, 4));
      ops.head_fold(pieces.tensor(), statistics.tensor());
    };
    expect_adjoint({{{4, cut}, {4, vocabulary - cut}},
                    {{4}},
                    [&](Ops& ops, const Tensors& x, const Tensors& y) {
                      whole(ops, x);
                      ops.head_losses(statistics.tensor(), targets.tensor(), smoothing, vocabulary, y[0]);
                    },
                    [&](Ops& ops, const Tensors& x, const Tensors&, const Tensors& dy, const Tensors& dx) {
                      whole(ops, x);
                      for (const std::size_t piece : {0U, 1U}) {
                        ops.head_backward(x[piece], statistics.tensor(), targets.tensor(), dy[0], piece == 0 ? 0 : cut,
                                          smoothing, vocabulary, dx[piece]);
                      }
                    }});
  }
}

// cast, add, sum and scale are linear and their own adjoints: y = 0.3 (a + b) + c.
void linear() {
  expect_adjoint({{{2, 3}, {2, 3}, {2, 3}},
                  {{2, 3}},
                  [](Ops& ops, const Tensors& x, const Tensors& y) {
                    ops.sum(x[0], x[1], y[0]);
                    ops.scale(0.3, y[0]);
                    ops.add(x[2], y[0]);
                  },
                  [](Ops& ops, const Tensors&, const Tensors&, const Tensors& dy, const Tensors& dx) {
                    ops.cast(dy[0], dx[0]);
                    ops.scale(0.3, dx[0]);
                    ops.cast(dx[0], dx[1]);
                    ops.add(dy[0], dx[2]);
                  }});
}

/// Which check holds the adjoint of an op, or is held by it; null with a reason where there is nothing to
/// differentiate.
struct Line {
  void (*check)();
  const char* reason = "";
};

const std::map<std::string, Line> lines = {
    {"fill", {nullptr, "constant"}},
    {"cast", {linear}},
    {"add", {linear}},
    {"sum", {linear}},
    {"scale", {linear}},
    {"matmul", {products}},
    {"add_bias", {bias}},
    {"bias_backward", {bias}},
    {"embedding", {embedding}},
    {"embedding_backward", {embedding}},
    {"rms_norm", {rms_norm}},
    {"rms_norm_backward", {rms_norm}},
    {"rms_normalize", {rms_norm}},
    {"gain_backward", {rms_norm}},
    {"rotary_table", {nullptr, "of positions, which are whole numbers"}},
    {"rotate", {rotate}},
    {"attention", {attention}},
    {"attention_merge", {attention_in_parts}},
    {"attention_backward", {attention}},
    {"swiglu", {swiglu}},
    {"swiglu_backward", {swiglu}},
    {"head_statistics", {head}},
    {"head_fold", {head}},
    {"head_losses", {head}},
    {"head_backward", {head}},
    {"squared_norm", {nullptr, "of gradients"}},
    {"adamw", {nullptr, "of gradients"}},
};

TEST(Adjoints, EveryOpHasALine) {
  std::set<std::string> with_line;
  for (const auto& [op, line] : lines) {
    with_line.insert(op);
    EXPECT_TRUE(line.check != nullptr || *line.reason != '\0') << op << " has neither a check nor a reason";
  }
  EXPECT_EQ(with_line, ops_of_the_table());
}

TEST(Adjoints, AreTheDerivatives) {
  std::set<void (*)()> done;
  for (const auto& [op, line] : lines) {
    SCOPED_TRACE(op);
    if (line.check != nullptr && done.insert(line.check).second) line.check();
  }
  EXPECT_GE(done.size(), 9U);
}

}  // namespace
}  // namespace hearth::test
