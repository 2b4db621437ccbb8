#include "model/decode.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/sinks.h"

namespace hearth {

namespace {

/// The candidates in order of falling logit, cut to top_k and top_p, with their unnormalised probabilities.
struct Candidates {
  std::vector<std::int32_t> ids;
  std::vector<double> shares;
};

Candidates candidates(std::span<const float> logits, const Sampling& sampling) {
  Candidates all;
  all.ids.resize(logits.size());
  std::iota(all.ids.begin(), all.ids.end(), 0);
  const auto logit = [&](std::int32_t id) { return logits[static_cast<std::size_t>(id)]; };
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    return logit(a) != logit(b) ? logit(a) > logit(b) : a < b;
  };
  if (sampling.top_k > 0 && static_cast<std::size_t>(sampling.top_k) < all.ids.size()) {
    std::partial_sort(all.ids.begin(), all.ids.begin() + sampling.top_k, all.ids.end(), likelier);
    all.ids.resize(static_cast<std::size_t>(sampling.top_k));
  } else {
    std::sort(all.ids.begin(), all.ids.end(), likelier);
  }
  double total = 0;
  for (const std::int32_t id : all.ids) {
    all.shares.push_back(std::exp((static_cast<double>(logit(id)) - logit(all.ids[0])) / sampling.temperature));
    total += all.shares.back();
  }
  double kept = 0;
  std::size_t count = 0;
  while (count < all.shares.size() && (count == 0 || kept < sampling.top_p * total)) kept += all.shares[count++];
  all.ids.resize(count);
  all.shares.resize(count);
  return all;
}

}  // namespace

std::int32_t sample(std::span<const float> logits, const Sampling& sampling, std::uint64_t index) {
  for (const float logit : logits) {
    if (std::isnan(logit))
      fail(Kind::numeric, "the model's logits are not numbers: its weights are damaged or diverged");
  }
  if (sampling.temperature == 0) {
    return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  const Candidates some = candidates(logits, sampling);
  const double total = std::accumulate(some.shares.begin(), some.shares.end(), 0.0);
  double rest = Key(sampling.seed).with("sample").uniform(index) * total;
  for (std::size_t i = 0; i < some.ids.size(); ++i) {
    rest -= some.shares[i];
    if (rest < 0) return some.ids[i];
  }
  return some.ids.back();
}

Decoder::Decoder(const Transformer& model, WeightSource& weights, Ops& ops, Memory& memory, Dtype compute,
                 std::int64_t capacity)
    : model_(model),
      weights_(weights),
      ops_(ops),
      memory_(memory),
      compute_(compute),
      capacity_(capacity),
      batches_(rotary_of(model.config()), std::min(capacity, chunk), compute, ops, memory),
      scratch_(memory),
      kept_(memory),
      alone_(make_self_communicator()) {
  require(model.axes().tensor == 1 && model.axes().context == 1, "a sequence is decoded by one rank");
  const ModelConfig& c = model.config();
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    Cache cache;
    for (Tensor* rows : {&cache.keys, &cache.values}) {
      const Dims dims = {capacity, c.key_value_heads, c.head_width};
      cache_memory_.emplace_back(memory, static_cast<std::size_t>(dims.elements()) * size_of(compute));
      *rows = cache_memory_.back().tensor(compute, dims);
    }
    caches_.push_back(cache);
  }
  logits_.resize(static_cast<std::size_t>(c.vocabulary));
}

std::span<const float> Decoder::append(std::span<const std::int32_t> tokens) {
  require(!tokens.empty() && length_ + static_cast<std::int64_t>(tokens.size()) <= capacity_,
          "a sequence has at least one token and stays within its cache");
  while (!tokens.empty()) {
    const std::size_t rows = std::min(tokens.size(), static_cast<std::size_t>(chunk));
    forward(tokens.first(rows));
    tokens = tokens.subspan(rows);
  }
  return logits_;
}

void Decoder::forward(std::span<const std::int32_t> tokens) {
  const Batch batch = batches_.make_continuation(tokens, length_);
  const auto rows = static_cast<std::int64_t>(tokens.size());
  const BatchShape shape = {rows, std::min(capacity_, chunk)};
  IgnoringSink sink;
  Scratch scratch(scratch_);
  Tensor x = batch.tokens;                                                // (T)
  Tensor rows_a = scratch.take(compute_, {rows, model_.config().width});  // (T, D), two in turn
  Tensor rows_b = scratch.take(compute_, rows_a.dims);
  for (int i = 0; i < model_.blocks(); ++i) {
    const auto weights = weights_.whole(i);
    if (i + 1 < model_.blocks()) weights_.prefetch(i + 1);
    const int layer = model_.layer_of(i);
    const bool attends = layer >= 0 && model_.attention_of(layer) == i;
    Pass pass{ops_,    sink,    weights, scratch_, *alone_,
              *alone_, *alone_, Key(),   batch,    attends ? &caches_[static_cast<std::size_t>(layer)] : nullptr};
    if (i + 1 == model_.blocks()) {
      const Tensor last = Tensor(logits_.data(), Dtype::f32, {1, model_.config().vocabulary});
      model_.head().logits(x.row_slice(rows - 1, 1), last, pass);
    } else {
      const auto kept = model_.block(i).activations(shape, compute_, kept_);
      model_.block(i).forward(x, rows_a, *kept, pass);
      x = rows_a;
      std::swap(rows_a, rows_b);
    }
    weights_.release(i);
  }
  length_ += rows;
  for (Cache& cache : caches_) cache.length = length_;
}

}  // namespace hearth
