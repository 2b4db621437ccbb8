#include "model/attention.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/ring.h"
#include "model/statistics.h"
#include "model/tensor_axis.h"

namespace hearth {

namespace {

/// Heads of one tensor rank.
std::int64_t query_heads(const AttentionSizes& sizes, const AxisSizes& axes) {
  return sizes.heads / axes.tensor;
}
std::int64_t key_heads(const AttentionSizes& sizes, const AxisSizes& axes) {
  return std::max<std::int64_t>(1, sizes.key_value_heads / axes.tensor);
}

}  // namespace

/// With the n query heads and the k key-value heads of this rank:
/// inverse_rms: (T / t)   q: (T, n, H)   kv: (2 T, k, H), keys, then values, as attention saw them   y: (T, n, H)
/// log_sum: (T, n)
/// Only with head norms: raw_q, raw_k before norm and rotation, inverse_q: (T * n), inverse_k: (T * k)
struct Attention::State final : Activations {
  State(const BatchShape& shape, Dtype compute, const AttentionSizes& s, const AxisSizes& axes, KeptMemory& memory)
      : inverse_rms(memory, shape, statistics_of(compute), {rows_of(shape, axes)}),
        q(memory, shape, compute, {shape.tokens, query_heads(s, axes), s.head_width}),
        kv(memory, shape, compute, {2 * shape.tokens, key_heads(s, axes), s.head_width}),
        y(memory, shape, compute, {shape.tokens, query_heads(s, axes), s.head_width}),
        log_sum(memory, shape, statistics_of(compute), {shape.tokens, query_heads(s, axes)}),
        raw_q(memory, shape, compute, {shape.tokens, query_heads(s, axes), s.head_width}),
        raw_k(memory, shape, compute, {shape.tokens, key_heads(s, axes), s.head_width}),
        inverse_q(memory, shape, statistics_of(compute), {shape.tokens * query_heads(s, axes)}),
        inverse_k(memory, shape, statistics_of(compute), {shape.tokens * key_heads(s, axes)}) {}
  void shed() override {
    for (Kept* kept : {&inverse_rms, &q, &kv, &y, &log_sum, &raw_q, &raw_k, &inverse_q, &inverse_k}) kept->shed();
  }
  bool is_shed() const override { return !q.held(); }
  Tensor hold_keys() { return keys_in(kv.hold()); }
  Tensor hold_values() { return values_in(kv.hold()); }

  Kept inverse_rms, q, kv, y, log_sum, raw_q, raw_k, inverse_q, inverse_k;
};

namespace {

/// (T, heads, H) as rows of heads: (T * heads, H).
Tensor head_rows(In x) {
  return x.as({x.dims[0] * x.dims[1], x.dims[2]});
}
/// (T, heads, H) as (T, heads * H).
Tensor flat(In x) {
  return x.as({x.dims[0], x.dims[1] * x.dims[2]});
}

}  // namespace

Attention::Attention(std::string name, const AttentionSizes& sizes, AxisSizes axes)
    : name_(std::move(name)), sizes_(sizes), axes_(axes) {
  const std::int64_t K = sizes.key_value_heads;
  require(sizes.heads % axes.tensor == 0, "query heads divide by the tensor axis");
  require(K % axes.tensor == 0 || axes.tensor % K == 0, "key-value heads divide by the tensor axis, or it by them");
}

std::vector<Parameter> Attention::parameters() const {
  const std::int64_t D = sizes_.width;
  const std::int64_t NH = sizes_.heads * sizes_.head_width;
  const std::int64_t KH = sizes_.key_value_heads * sizes_.head_width;
  const int t = axes_.tensor;
  const auto shared = static_cast<int>(std::min<std::int64_t>(sizes_.key_value_heads, t));  // pieces of keys and values
  const auto matrix = [&](const char* part, std::int64_t out_rows, std::int64_t in_columns, Cut cut, int pieces) {
    return Parameter{.name = name_ + part,
                     .full = {out_rows, in_columns},
                     .cut = cut,
                     .pieces = pieces,
                     .copies = pieces < t ? Copies::add : Copies::same,
                     .law = sizes_.law,
                     .decayed = true};
  };
  const auto bias = [&](const char* part, std::int64_t elements, int pieces) {
    return Parameter{.name = name_ + part,
                     .full = {elements},
                     .cut = Cut::rows,
                     .pieces = pieces,
                     .copies = pieces < t ? Copies::add : Copies::same,
                     .law = {Law::Kind::zeros}};
  };
  const auto gain = [&](const char* part, std::int64_t elements) {
    return Parameter{.name = name_ + part, .full = {elements}, .copies = Copies::add, .law = {Law::Kind::ones}};
  };
  std::vector<Parameter> all = {gain(".norm", D), matrix(".query", NH, D, Cut::rows, t),
                                matrix(".key", KH, D, Cut::rows, shared), matrix(".value", KH, D, Cut::rows, shared),
                                matrix(".output", D, NH, Cut::columns, t)};
  if (sizes_.biases) {
    all.push_back(bias(".query_bias", NH, t));
    all.push_back(bias(".key_bias", KH, shared));
    all.push_back(bias(".value_bias", KH, shared));
  }
  if (sizes_.head_norms) {
    all.push_back(gain(".query_norm", sizes_.head_width));
    all.push_back(gain(".key_norm", sizes_.head_width));
  }
  return all;
}

Dims Attention::out(const BatchShape& shape) const {
  return {rows_of(shape, axes_), sizes_.width};
}

Linear Attention::linear(Place place) const {
  const bool biased = sizes_.biases && place != output;
  return {place, biased ? output + (place - norm) : -1};  // query_bias is 5, behind output, which is 4
}

std::vector<std::size_t> Attention::kept_sizes(const BatchShape& shape, Dtype compute) const {
  HostMemory nothing;
  KeptMemory none(nothing);
  const State s(shape, compute, sizes_, axes_, none);
  std::vector<std::size_t> sizes = {s.inverse_rms.bytes(), s.q.bytes(), s.kv.bytes(), s.y.bytes(), s.log_sum.bytes()};
  if (sizes_.head_norms) {
    sizes.insert(sizes.end(), {s.raw_q.bytes(), s.raw_k.bytes(), s.inverse_q.bytes(), s.inverse_k.bytes()});
  }
  return sizes;
}

ScratchBytes Attention::scratch_bytes(const BatchShape& shape, Dtype compute) const {
  const Dims q = {shape.tokens, query_heads(sizes_, axes_), sizes_.head_width};
  const Dims k = {shape.tokens, key_heads(sizes_, axes_), sizes_.head_width};
  const Dims kv = {2 * k[0], k[1], k[2]};
  const std::size_t mine = Arena::room(compute, out(shape));  // n, dn
  const std::size_t all = room_of_all_rows(shape, axes_, compute, sizes_.width);
  const std::size_t forward = std::max(mine + all, room_of_ring_attention(axes_.context, compute, q, kv));

  const std::size_t held = 2 * Arena::room(compute, q) + Arena::room(compute, kv) + all;  // dq, d_attention, dkv, dy
  const std::size_t d_key = sizes_.head_norms ? Arena::room(compute, k) : 0;
  const std::size_t x_hat = sizes_.head_norms ? Arena::room(compute, q) : 0;  // given back before n is taken
  const std::size_t inverse_rms = Arena::room(statistics_of(compute), {rows_of(shape, axes_)});
  const std::size_t of_norm = 2 * mine + inverse_rms + 2 * all;  // and n's rows, and what is summed
  return {forward, held + std::max(room_of_ring_attention_backward(axes_.context, compute, q, kv),
                                   d_key + std::max(x_hat, of_norm))};
}

std::unique_ptr<Activations> Attention::activations(const BatchShape& shape, Dtype compute, KeptMemory& memory) const {
  return std::make_unique<State>(shape, compute, sizes_, axes_, memory);
}

void Attention::project(In n, State& state, Pass& pass) const {
  linear(query).forward(n, Write::over, flat(sizes_.head_norms ? state.raw_q.hold() : state.q.hold()), pass);
  linear(key).forward(n, Write::over, flat(sizes_.head_norms ? state.raw_k.hold() : state.hold_keys()), pass);
  linear(value).forward(n, Write::over, flat(state.hold_values()), pass);
}

void Attention::turn_and_norm(State& state, Pass& pass) const {
  const Tensor q = state.q.hold();     // (T, n, H)
  const Tensor k = state.hold_keys();  // (T, k, H)
  if (sizes_.head_norms) {
    const auto& weights = pass.weights;
    pass.ops.rms_norm(head_rows(*state.raw_q), weights[static_cast<std::size_t>(query_norm())], sizes_.epsilon,
                      head_rows(q), state.inverse_q.hold());
    pass.ops.rms_norm(head_rows(*state.raw_k), weights[static_cast<std::size_t>(key_norm())], sizes_.epsilon,
                      head_rows(k), state.inverse_k.hold());
  }
  pass.ops.rotate(q, pass.batch.cosine, pass.batch.sine, Turn::no, q);
  pass.ops.rotate(k, pass.batch.cosine, pass.batch.sine, Turn::no, k);
}

/// The keys and values of these rows behind those of the cache, and attention over all of them.
void Attention::attend_to_cache(State& state, const AttentionShape& shape, Pass& pass) const {
  require(axes_.tensor == 1 && axes_.context == 1, "a sequence is decoded with a cache by one rank");
  Cache& cache = *pass.cache;
  const Tensor k = state.hold_keys();  // (T, K, H)
  const KeyRange& seen = pass.batch.keys[0];
  pass.ops.cast(k, cache.keys.row_slice(cache.length, k.rows()));
  pass.ops.cast(state.hold_values(), cache.values.row_slice(cache.length, k.rows()));
  pass.ops.attention(*state.q, cache.keys.row_slice(0, cache.length + k.rows()),
                     cache.values.row_slice(0, cache.length + k.rows()), seen.first, seen.last, shape, state.y.hold(),
                     state.log_sum.hold());
}

void Attention::forward(In x, Out y, Activations& kept, Pass& pass) const {
  auto& state = static_cast<State&>(kept);
  const AttentionShape shape = {1 / std::sqrt(static_cast<float>(sizes_.head_width)), sizes_.window};
  {
    Scratch scratch(pass.scratch);
    const Tensor n = scratch.take(x.dtype, x.dims);  // (T / t, D)
    pass.ops.rms_norm(x, pass.weights[norm], sizes_.epsilon, n, state.inverse_rms.hold());
    project(gather_rows(n, scratch, pass.tensor), state, pass);
  }
  turn_and_norm(state, pass);
  if (pass.cache != nullptr) {
    attend_to_cache(state, shape, pass);
  } else {
    ring_attention(*state.q, *state.kv, shape, state.y.hold(), state.log_sum.hold(), pass);
  }
  pass.ops.cast(x, y);
  sum_rows(Write::add, y, pass,
           [&](Write write, Out rows) { linear(output).forward(flat(*state.y), write, rows, pass); });
}

void Attention::head_norm_backward(int place, In raw, In inverse_rms, In dy, Out d_raw, Pass& pass) const {
  Scratch scratch(pass.scratch);
  const Tensor x_hat = scratch.take(raw.dtype, raw.dims);  // (T, heads, H)
  pass.ops.rms_normalize(head_rows(raw), inverse_rms, head_rows(x_hat));
  pass.gradients.gain(place, x_hat, dy, pass.batch.example);
  pass.ops.fill(0, d_raw);
  pass.ops.rms_norm_backward(head_rows(raw), pass.weights[static_cast<std::size_t>(place)], inverse_rms, head_rows(dy),
                             head_rows(d_raw));
}

void Attention::backward(In x, const Activations& kept, In dy, Out dx, Pass& pass) const {
  const auto& state = static_cast<const State&>(kept);
  const AttentionShape shape = {1 / std::sqrt(static_cast<float>(sizes_.head_width)), sizes_.window};
  Scratch scratch(pass.scratch);
  const auto like = [&](In tensor) { return scratch.take(tensor.dtype, tensor.dims); };
  const Tensor q = *state.q;
  const Tensor kv = *state.kv;
  const Tensor y = *state.y;
  const Tensor dq = like(q);           // (T, n, H)
  const Tensor dkv = like(kv);         // (2 T, k, H)
  const Tensor dk = keys_in(dkv);      // (T, k, H)
  const Tensor dv = values_in(dkv);    // (T, k, H)
  const Tensor d_attention = like(y);  // (T, n, H)
  linear(output).backward(flat(y), gather_rows(dy, scratch, pass.tensor), Write::over, flat(d_attention), pass);
  ring_attention_backward(q, kv, shape, y, *state.log_sum, d_attention, dq, dkv, pass);
  pass.ops.rotate(dq, pass.batch.cosine, pass.batch.sine, Turn::yes, dq);
  pass.ops.rotate(dk, pass.batch.cosine, pass.batch.sine, Turn::yes, dk);
  Tensor d_query = dq;
  Tensor d_key = dk;
  if (sizes_.head_norms) {
    d_query = d_attention;  // spent
    d_key = like(dk);
    head_norm_backward(query_norm(), *state.raw_q, *state.inverse_q, dq, d_query, pass);
    head_norm_backward(key_norm(), *state.raw_k, *state.inverse_k, dk, d_key, pass);
  }

  const Tensor inverse_rms = *state.inverse_rms;  // (T / t)
  const Tensor n = like(x);                       // (T / t, D)
  const Tensor dn = like(x);                      // (T / t, D)
  pass.ops.rms_norm(x, pass.weights[norm], sizes_.epsilon, n, like(inverse_rms));
  const Tensor n_rows = gather_rows(n, scratch, pass.tensor);  // (T, D)
  sum_rows(Write::over, dn, pass, [&](Write write, Out rows) {
    linear(query).backward(n_rows, flat(d_query), write, rows, pass);
    linear(key).backward(n_rows, flat(d_key), Write::add, rows, pass);
    linear(value).backward(n_rows, flat(dv), Write::add, rows, pass);
  });

  const Tensor x_hat = n;  // n is spent
  pass.ops.rms_normalize(x, inverse_rms, x_hat);
  pass.gradients.gain(norm, x_hat, dn, own_rows(pass.batch.example, pass.tensor));
  if (dx.data != dy.data) pass.ops.cast(dy, dx);
  pass.ops.rms_norm_backward(x, pass.weights[norm], inverse_rms, dn, dx);  // (T / t, D), onto the residual's dy
}

}  // namespace hearth
