#include <algorithm>
#include <cmath>
#include <limits>

#include "base/interval.h"
#include "kernels/backend.h"
#include "kernels/cases.h"
#include "kernels/guarded.h"

namespace hearth::test {

namespace {

using Tensors = std::vector<Tensor>;

struct Size {
  std::string name;
  std::vector<std::int64_t> documents;  // lengths, packed end to end
  std::int64_t earlier;                 // keys before the first query (a cache), of the first document
  std::int64_t heads, key_heads, width;
  std::int64_t window;
  std::int64_t unseen = 0;  // keys behind the last query that nobody sees
  bool blind = false;       // the first query sees no key
  bool large = false;
};

const Size sizes[] = {
    {"one token", {1}, 0, 1, 1, 1, 0},
    {"no tokens", {}, 0, 2, 1, 4, 0},
    {"N = K, H = 2", {5}, 0, 3, 3, 2, 0},
    {"K = 1", {3, 1, 4}, 0, 4, 1, 8, 0},
    {"a query that sees nothing", {6, 2}, 0, 2, 2, 5, 0, 0, true},
    {"window of one", {9}, 0, 2, 1, 16, 1},
    {"generation", {1}, 250, 6, 2, 64, 0, 9},
    {"generation, many heads", {1}, 500, 14, 2, 16, 100},
    {"prefill behind a cache", {40}, 30, 2, 1, 20, 0},
    {"short documents", {1, 20, 3, 50, 7, 30, 13, 90, 2, 5, 41}, 0, 4, 2, 24, 0},
    {"several blocks", {230, 310}, 0, 2, 1, 33, 0, 0, false, true},
    {"several blocks, window", {700}, 0, 2, 2, 8, 77, 0, false, true},
    {"many key heads", {150, 60}, 0, 16, 8, 12, 0, 0, false, true},
};

struct Built {
  std::int64_t queries = 0, keys = 0;
  std::vector<double> first, last;
};

Built build(const Size& size) {
  Built built;
  std::int64_t key = size.earlier;
  std::int64_t start = 0;
  for (const std::int64_t length : size.documents) {
    for (std::int64_t i = 0; i < length; ++i) {
      built.first.push_back(static_cast<double>(start));
      built.last.push_back(static_cast<double>(key + 1));
      ++key;
      ++built.queries;
    }
    start = key;
  }
  built.keys = key + size.unseen;
  if (size.blind) built.last[0] = built.first[0];
  return built;
}

Dtype dtype_of(Arg::Kind kind) {
  return kind == Arg::Kind::integer ? Dtype::i32 : Dtype::f64;
}

// Runs a case in the truth and returns its outputs.
std::vector<std::vector<double>> outputs(const Case& of) {
  const auto truth = make_plain_backend();
  std::vector<Guarded> memory;
  Tensors tensors;
  for (const Arg& arg : of.args) {
    memory.emplace_back(dtype_of(arg.kind), arg.dims);
    if (!arg.values.empty()) memory.back().set(arg.values);
  }
  for (const Guarded& guarded : memory) tensors.push_back(guarded.tensor());
  of.call(truth->ops(), tensors);
  std::vector<std::vector<double>> values;
  for (std::size_t i = 0; i < memory.size(); ++i) {
    if (of.args[i].use != Arg::Use::input) values.push_back(memory[i].values());
  }
  return values;
}

void of_size(std::vector<Case>& all, const Size& size) {
  const Built built = build(size);
  const Dims q{built.queries, size.heads, size.width};
  const Dims k{built.keys, size.key_heads, size.width};
  const Dims per_head{built.queries, size.heads};
  const auto wide = static_cast<double>(size.width);
  const AttentionShape shape{static_cast<float>(1 / std::sqrt(wide)), size.window};
  // A score is a sum of H products of at most 1 over sqrt(H); its error is the relative error of every probability.
  const double score = std::sqrt(wide) + 1;
  const std::vector<Arg> inputs = {input(q, noise("q", q)), input(k, noise("k", k)), input(k, noise("v", k)),
                                   integers(built.first), integers(built.last)};
  std::vector<Arg> args = inputs;
  args.push_back(over(q, 2 * score));
  args.push_back(over(per_head, 2 * score + 8, Arg::Kind::wide));
  Case forward{"attention", size.name, args,
               [shape](Ops& ops, const Tensors& t) { ops.attention(t[0], t[1], t[2], t[3], t[4], shape, t[5], t[6]); },
               size.large};
  all.push_back(forward);
  const auto results = outputs(forward);
  forward.shape += " into f32";
  forward.args[5].kind = Arg::Kind::single;
  all.push_back(forward);
  for (const Arg::Kind kind : {Arg::Kind::real, Arg::Kind::single}) {
    args = inputs;
    args.push_back(input(q, results[0]));
    args.push_back(input(per_head, results[1], Arg::Kind::wide));
    args.push_back(input(q, noise("attention dy", q)));
    // |dS| <= scale P (|dP| + |delta|) <= 2 sqrt(H) P. Over keys the P of a row add to 1; over rows those of a key add
    // to about the logarithm of their number (1 + 1/2 + 1/3 ...) times e^(spread of scores), for each head of the
    // group.
    const double spread = 2 * score;
    const double of_rows = 8 * static_cast<double>(size.heads / size.key_heads);
    args.push_back(onto("dq", q, 1 + spread * score, kind));
    args.push_back(onto("dk", k, 1 + spread * score * of_rows, kind));
    args.push_back(onto("dv", k, 1 + score * of_rows, kind));
    all.push_back({"attention_backward", size.name + (kind == Arg::Kind::single ? " into f32" : ""), args,
                   [shape](Ops& ops, const Tensors& t) {
                     ops.attention_backward(t[0], t[1], t[2], t[3], t[4], shape, t[5], t[6], t[7], t[8], t[9], t[10]);
                   },
                   size.large});
  }
}

/// The adjoint for some of the keys, which are `kept` of those of `size`: y and log_sum are those of all.
void of_part(std::vector<Case>& all, const Size& size, const std::vector<Interval>& kept) {
  std::vector<Case> whole;
  of_size(whole, size);
  const Case forward = whole[0];
  const auto results = outputs(forward);
  Case part = whole[2];  // attention_backward
  const auto rows_before = [&](double row) {
    std::int64_t count = 0;
    for (const Interval& stretch : kept) count += intersect(stretch, {0, static_cast<std::int64_t>(row)}).count();
    return static_cast<double>(count);
  };
  const Dims& q = part.args[0].dims;
  const Dims k{kept.empty() ? 0 : static_cast<std::int64_t>(rows_before(1e9)), size.key_heads, size.width};
  part.shape += ", some of the keys";
  for (const std::size_t arg : {1U, 2U}) {
    const std::vector<double> values = part.args[arg].values;
    part.args[arg].values.clear();
    for (const Interval& stretch : kept) {
      part.args[arg].values.insert(part.args[arg].values.end(), values.begin() + stretch.begin * k.row_elements(),
                                   values.begin() + stretch.end * k.row_elements());
    }
    part.args[arg].dims = k;
  }
  for (std::size_t t = 0; t < part.args[3].values.size(); ++t) {
    double& first = part.args[3].values[t];
    double& last = part.args[4].values[t];
    if (size.window > 0) first = std::max(first, last - static_cast<double>(size.window));
    first = rows_before(first);
    last = rows_before(last);
  }
  part.args[9] = onto("dk", k, part.args[9].terms, part.args[9].kind);
  part.args[10] = onto("dv", k, part.args[10].terms, part.args[10].kind);
  const AttentionShape shape{static_cast<float>(1 / std::sqrt(static_cast<double>(q[2]))), 0, true};
  part.call = [shape](Ops& ops, const Tensors& t) {
    ops.attention_backward(t[0], t[1], t[2], t[3], t[4], shape, t[5], t[6], t[7], t[8], t[9], t[10]);
  };
  all.push_back(part);
}

/// Queries that saw keys in both parts, in either, in none.
void merges(std::vector<Case>& all, Dims dims, bool large) {
  const Dims per_head{dims[0], dims[1]};
  constexpr double none = -std::numeric_limits<double>::infinity();
  std::vector<double> part = noise("part", dims);
  std::vector<double> before = noise("before", dims);
  std::vector<double> part_log_sum = noise("part log_sum", per_head, 6);
  std::vector<double> log_sum = noise("log_sum", per_head, 6);
  for (std::size_t i = 0; i < log_sum.size(); ++i) {
    const auto row = static_cast<std::ptrdiff_t>(i) * dims[2];
    if (i % 5 == 1 || i % 5 == 2) {
      part_log_sum[i] = none;
      std::fill_n(part.begin() + row, dims[2], 0.0);
    }
    if (i % 5 == 2 || i % 5 == 3) {
      log_sum[i] = none;
      std::fill_n(before.begin() + row, dims[2], 0.0);
    }
  }
  Arg y = input(dims, before, Arg::Kind::wide);
  y.use = Arg::Use::add;
  y.terms = 2;
  Arg both = input(per_head, log_sum, Arg::Kind::wide);
  both.use = Arg::Use::add;
  both.terms = 8;
  all.push_back({"attention_merge",
                 dims.text(),
                 {input(dims, part, Arg::Kind::wide), input(per_head, part_log_sum, Arg::Kind::wide), y, both},
                 [](Ops& ops, const Tensors& t) { ops.attention_merge(t[0], t[1], t[2], t[3]); },
                 large});
}

}  // namespace

std::vector<Case> attention_cases() {
  std::vector<Case> all;
  for (const Size& size : sizes) of_size(all, size);
  // What a rank of four has, the first and the last, of what every query sees; none of it; keys of one tile.
  of_part(all, {"one token", {1}, 0, 1, 1, 1, 0}, {});
  of_part(all, {"two tokens", {2}, 0, 2, 1, 6, 0}, {{0, 1}});
  of_part(all, {"short documents", {1, 20, 3, 50, 7, 30, 9}, 0, 4, 2, 24, 0}, {{0, 15}, {105, 120}});
  of_part(all, {"short documents, window", {1, 20, 3, 50, 7, 30, 9}, 0, 4, 4, 10, 12}, {{45, 75}});
  of_part(all, {"several blocks", {230, 410}, 0, 2, 1, 33, 0, 0, false, true}, {{80, 160}, {480, 560}});
  of_part(all, {"many key heads", {200, 120}, 0, 16, 8, 12, 0, 0, false, true}, {{120, 200}});
  merges(all, {0, 2, 4}, false);
  merges(all, {1, 1, 1}, false);
  merges(all, {7, 3, 5}, false);
  merges(all, {90, 12, 96}, true);
  return all;
}

}  // namespace hearth::test
