// Attention over the keys of all context ranks. Keys and values go round: each rank gives what it has to the next one
// and computes with it meanwhile; after C - 1 passes every rank has seen all. Gradients of keys and values go round with
// them, one pass more, and arrive at home complete. How many passes there are depends on C alone; what no query sees is
// passed on and not computed. On an axis of one it is one attention, and nothing is moved, copied or merged.
#pragma once

#include "model/block.h"

namespace hearth {

/// Keys and values that travel together: the first half of the rows, and the second.
inline Tensor keys_in(In kv) {
  return kv.row_slice(0, kv.rows() / 2);
}
inline Tensor values_in(In kv) {
  return kv.row_slice(kv.rows() / 2, kv.rows() / 2);
}

/// Bytes of an arena that the two below take on a ring of `ranks`.    q: (T, n, H)   kv: (2 T, k, H)
std::size_t room_of_ring_attention(int ranks, Dtype compute, const Dims& q, const Dims& kv);
std::size_t room_of_ring_attention_backward(int ranks, Dtype compute, const Dims& q, const Dims& kv);

/// y = attention of this rank's queries over the keys of all ranks, log_sum = the logarithm of the sum of exp(scores).
///   q, y: (T, n, H)   kv: (2 T, k, H), this rank's keys and behind them its values   log_sum: (T, n)
/// batch.keys say which keys a query sees; on a ring they must be limited to shape.window already. Parts are merged in
/// f32 in the order of the ring (own keys, the previous rank's, the one's before it); y is rounded once.
void ring_attention(In q, In kv, AttentionShape shape, Out y, Out log_sum, Pass& pass);

/// dq =, dkv = the adjoint of ring_attention applied to dy.    dq: as q   dkv: as kv
/// The gradient of a rank's keys is the sum of its own share, the next rank's, and so on, in f32, rounded once.
void ring_attention_backward(In q, In kv, AttentionShape shape, In y, In log_sum, In dy, Out dq, Out dkv, Pass& pass);

}  // namespace hearth
