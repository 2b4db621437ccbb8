#include "model/ring.h"

#include <algorithm>
#include <vector>

#include "model/statistics.h"

namespace hearth {

namespace {

/// Where things go, and whose are here.
class Ring {
 public:
  explicit Ring(Communicator& ranks) : ranks_(ranks) {}

  int size() const { return ranks_.size(); }
  /// The rank whose rows are here after so many passes.
  int owner(int passes) const { return (ranks_.rank() - passes + size()) % size(); }
  /// `rows` to the next rank, `received` from the previous one: an exchange in which all other counts are zero.
  Ticket pass_on(In rows, Out received) {
    to_.assign(static_cast<std::size_t>(size()), 0);
    from_.assign(static_cast<std::size_t>(size()), 0);
    to_[static_cast<std::size_t>(owner(size() - 1))] = rows.rows();
    from_[static_cast<std::size_t>(owner(1))] = received.rows();
    return ranks_.exchange(rows, to_, received, from_);
  }

 private:
  Communicator& ranks_;
  std::vector<std::int64_t> to_, from_;
};

/// One tensor or two in turn, so that what arrives does not lie over what it is computed with.
class Turns {
 public:
  Turns(Scratch& scratch, Dtype dtype, const Dims& dims, int count) {
    for (int i = 0; i < count; ++i) tensors_.push_back(scratch.take(dtype, dims));
  }
  const Tensor& after(int passes) const { return tensors_[static_cast<std::size_t>(passes) % tensors_.size()]; }

 private:
  std::vector<Tensor> tensors_;
};

/// The shape of one part: its ranges already end where the window does.
AttentionShape part_of(const AttentionShape& shape, const Batch& batch) {
  require(batch.window == shape.window, "ranges of keys are limited to the window of the block that uses them");
  return {.scale = shape.scale, .window = 0, .part = true};
}

/// Those of one other rank, or, while they are computed with, of the next one too.
std::size_t keys_of_others(int ranks) {
  return static_cast<std::size_t>(std::min(2, ranks - 1));
}

const KeyRange& seen_of(const Pass& pass, int owner) {
  return pass.batch.keys[static_cast<std::size_t>(owner)];
}

}  // namespace

std::size_t room_of_ring_attention(int ranks, Dtype compute, const Dims& q, const Dims& kv) {
  if (ranks == 1) return 0;
  const Dtype wide = statistics_of(compute);
  const std::size_t sums = (compute == wide ? 1 : 2) * Arena::room(wide, q);  // a share, and what is added up
  return sums + Arena::room(wide, {q[0], q[1]}) + keys_of_others(ranks) * Arena::room(compute, kv);
}

std::size_t room_of_ring_attention_backward(int ranks, Dtype compute, const Dims& q, const Dims& kv) {
  if (ranks == 1) return 0;
  const Dtype wide = statistics_of(compute);
  const std::size_t dq = compute == wide ? 0 : Arena::room(wide, q);
  return dq + 3 * Arena::room(wide, kv) + keys_of_others(ranks) * Arena::room(compute, kv);  // a share, and two sums
}

void ring_attention(In q, In kv, AttentionShape shape, Out y, Out log_sum, Pass& pass) {
  Ring ring(pass.context);
  const KeyRange& own = seen_of(pass, ring.owner(0));
  if (ring.size() == 1) {
    return pass.ops.attention(q, keys_in(kv), values_in(kv), own.first, own.last, shape, y, log_sum);
  }
  const AttentionShape part = part_of(shape, pass.batch);
  const Dtype wide = statistics_of(q.dtype);
  Scratch scratch(pass.scratch);
  const Tensor sum = y.dtype == wide ? y : scratch.take(wide, y.dims);  // (T, n, H)
  const Tensor share = scratch.take(wide, y.dims);
  const Tensor share_log_sum = scratch.take(wide, log_sum.dims);
  const Turns others(scratch, kv.dtype, kv.dims, static_cast<int>(keys_of_others(ring.size())));
  for (int passes = 0; passes < ring.size(); ++passes) {
    const Tensor& here = passes == 0 ? kv : others.after(passes);
    Ticket coming;
    if (passes + 1 < ring.size()) coming = ring.pass_on(here, others.after(passes + 1));
    const KeyRange& seen = seen_of(pass, ring.owner(passes));
    if (passes == 0) {
      pass.ops.attention(q, keys_in(here), values_in(here), seen.first, seen.last, part, sum, log_sum);
    } else if (seen.visible) {
      pass.ops.attention(q, keys_in(here), values_in(here), seen.first, seen.last, part, share, share_log_sum);
      pass.ops.attention_merge(share, share_log_sum, sum, log_sum);
    }
    coming.wait();
  }
  if (sum.data != y.data) pass.ops.cast(sum, y);
}

void ring_attention_backward(In q, In kv, AttentionShape shape, In y, In log_sum, In dy, Out dq, Out dkv, Pass& pass) {
  Ring ring(pass.context);
  const auto add_share = [&](In here, int owner, const AttentionShape& as, Out to_q, Out to_kv) {
    const KeyRange& seen = seen_of(pass, owner);
    pass.ops.attention_backward(q, keys_in(here), values_in(here), seen.first, seen.last, as, y, log_sum, dy, to_q,
                                keys_in(to_kv), values_in(to_kv));
  };
  if (ring.size() == 1) {
    pass.ops.fill(0, dq);
    pass.ops.fill(0, dkv);
    return add_share(kv, 0, shape, dq, dkv);
  }
  const AttentionShape part = part_of(shape, pass.batch);
  const Dtype wide = statistics_of(q.dtype);
  Scratch scratch(pass.scratch);
  const Tensor dq_sum = dq.dtype == wide ? dq : scratch.take(wide, dq.dims);  // (T, n, H)
  const Tensor share = scratch.take(wide, kv.dims);                           // (2 T, k, H)
  const Turns others(scratch, kv.dtype, kv.dims, static_cast<int>(keys_of_others(ring.size())));
  const Turns sums(scratch, wide, kv.dims, 2);  // of the gradients of the keys that are here, or on their way
  pass.ops.fill(0, dq_sum);
  Ticket sum_coming;
  for (int passes = 0; passes < ring.size(); ++passes) {
    const Tensor& here = passes == 0 ? kv : others.after(passes);
    Ticket coming;
    if (passes + 1 < ring.size()) coming = ring.pass_on(here, others.after(passes + 1));
    const Tensor& sum = sums.after(passes);
    const Tensor& mine = passes == 0 ? sum : share;
    const bool visible = seen_of(pass, ring.owner(passes)).visible;
    if (visible || passes == 0) {
      pass.ops.fill(0, mine);
      add_share(here, ring.owner(passes), part, dq_sum, mine);
    }
    sum_coming.wait();
    if (visible && passes > 0) pass.ops.add(share, sum);
    sum_coming = ring.pass_on(sum, sums.after(passes + 1));
    coming.wait();
  }
  sum_coming.wait();  // at home
  pass.ops.cast(sums.after(ring.size()), dkv);
  if (dq_sum.data != dq.data) pass.ops.cast(dq_sum, dq);
}

}  // namespace hearth
