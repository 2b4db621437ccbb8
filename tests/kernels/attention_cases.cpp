#include <algorithm>
#include <cmath>

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
  const Case forward{
      "attention", size.name, args,
      [shape](Ops& ops, const Tensors& t) { ops.attention(t[0], t[1], t[2], t[3], t[4], shape, t[5], t[6]); },
      size.large};
  all.push_back(forward);
  const auto results = outputs(forward);
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

}  // namespace

std::vector<Case> attention_cases() {
  std::vector<Case> all;
  for (const Size& size : sizes) of_size(all, size);
  return all;
}

}  // namespace hearth::test
