#include "model/deferring_sink.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "model/sinks.h"
#include "model/statistics.h"

namespace hearth {

namespace {

/// Whether both are one view, and what lies there is still what `copy` was made of. Only memory that the host reads is
/// looked at.
bool unchanged(In now, In before, In copy) {
  const bool same_view =
      now.data == before.data && now.dtype == before.dtype && now.dims == before.dims && now.pitch == before.pitch;
  if (!same_view || now.device != Device::host || !now.unpitched()) return false;
  return std::memcmp(now.data, copy.data, now.bytes()) == 0;
}

}  // namespace

DeferringSink::DeferringSink(Ops& ops, KeptMemory& memory, const BatchShape& shape)
    : ops_(ops), memory_(memory), shape_(shape) {
  require(shape.tokens > 0 && shape.capacity >= shape.tokens, "a microbatch has tokens, at most as many as planned");
}

DeferringSink::~DeferringSink() {
  clear();
}

Tensor DeferringSink::like(In x) {
  const std::int64_t of_a_token = (x.elements() + shape_.tokens - 1) / shape_.tokens;
  buffers_.push_back(memory_.take(static_cast<std::size_t>(of_a_token * shape_.capacity) * size_of(x.dtype)));
  return buffers_.back().tensor(x.dtype, x.dims);
}

Tensor DeferringSink::copy(In x) {
  const Tensor result = like(x);
  ops_.cast(x, result);
  return result;
}

/// The copy of a product's input. Maps that read the same rows (query, key and value; gate and up) come one after the
/// other, and share one.
Tensor DeferringSink::input(In a) {
  if (!put_off_.empty() && unchanged(a, last_input_, put_off_.back().a)) return put_off_.back().a;
  last_input_ = a;
  return copy(a);
}

Tensor DeferringSink::sum_of(int p, std::int64_t width, Dtype dtype) {
  const auto found = std::find_if(sums_.begin(), sums_.end(), [&](const Sum& sum) { return sum.p == p; });
  if (found != sums_.end()) return found->total;
  buffers_.push_back(memory_.take(static_cast<std::size_t>(width) * size_of(dtype)));
  sums_.push_back({p, buffers_.back().tensor(dtype, {width})});
  ops_.fill(0, sums_.back().total);
  return sums_.back().total;
}

void DeferringSink::linear(int p, In a, In dy, In example, double scale) {
  if (!a) {
    const Tensor total = sum_of(p, dy.dims[1], statistics_of(dy.dtype));  // (O)
    return AccumulatingSink(ops_, {&total, 1}).linear(0, a, dy, example, scale);
  }
  const Tensor kept_a = input(a);
  put_off_.push_back({false, p, kept_a, copy(dy), scale});
}

void DeferringSink::lookup(int p, In tokens, std::int64_t first, In dy, In /*example*/) {
  const Tensor kept_tokens = like(tokens);
  const auto ids = tokens.span<std::int32_t>();  // made by the host, as BatchMaker does
  std::copy(ids.begin(), ids.end(), kept_tokens.span<std::int32_t>().begin());
  last_input_ = Tensor();
  put_off_.push_back({true, p, kept_tokens, copy(dy), 1, first});
}

void DeferringSink::gain(int p, In x_hat, In dy, In example) {
  const Tensor total = sum_of(p, x_hat.dims[x_hat.dims.count - 1], statistics_of(dy.dtype));  // (D), or (H)
  AccumulatingSink(ops_, {&total, 1}).gain(0, x_hat, dy, example);
}

void DeferringSink::contract(std::span<const Tensor> gradients) {
  AccumulatingSink sink(ops_, gradients);
  for (const PutOff& put_off : put_off_) {
    if (put_off.lookup) {
      sink.lookup(put_off.p, put_off.a, put_off.first, put_off.dy, Tensor());
    } else {
      sink.linear(put_off.p, put_off.a, put_off.dy, Tensor(), put_off.scale);
    }
  }
  for (const Sum& sum : sums_) ops_.add(sum.total, gradients[static_cast<std::size_t>(sum.p)]);
  clear();
}

std::size_t DeferringSink::bytes() const {
  std::size_t bytes = 0;
  for (const Buffer& buffer : buffers_) bytes += buffer.bytes();
  return bytes;
}

void DeferringSink::clear() {
  for (Buffer& buffer : buffers_) memory_.give(std::move(buffer));
  buffers_.clear();
  put_off_.clear();
  sums_.clear();
  last_input_ = Tensor();
}

}  // namespace hearth
