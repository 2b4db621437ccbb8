// The preconditions of every op: one function for each, called first by every backend. A broken one is a defect of
// hearth (Kind::internal), never a user's mistake.
#pragma once

#include "kernels/ops.h"

namespace hearth::check {

void cast(In x, Out y);
void add(In x, Out y);
void sum(In a, In b, Out y);
void scale(Out y);
void matmul(In a, Turn turn_a, In b, Turn turn_b, Out y);
void add_bias(In bias, Out y);
void bias_backward(In dy, Out db);
void embedding(In tokens, In table, Out y);
void embedding_backward(In tokens, In dy, Out dtable);
void rms_norm(In x, In gain, Out y, Out inverse_rms);
void rms_norm_backward(In x, In gain, In inverse_rms, In dy, Out dx);
void rms_normalize(In x, In inverse_rms, Out x_hat);
void gain_backward(In x_hat, In dy, Out dgain);
void rotary_table(In positions, In frequencies, Out cosine, Out sine);
void rotate(In x, In cosine, In sine, Out y);
void attention(In q, In k, In v, In first, In last, Out y, Out log_sum);
void attention_merge(In part, In part_log_sum, Out y, Out log_sum);
void attention_backward(In q, In k, In v, In first, In last, In y, In log_sum, In dy, Out dq, Out dk, Out dv);
void swiglu(In gate, In up, Out y);
void swiglu_backward(In gate, In up, In dy, Out dgate, Out dup);
void head_statistics(In logits, In targets, Out statistics);
void head_fold(In pieces, Out statistics);
void head_losses(In statistics, In targets, Out losses);
void head_backward(In logits, In statistics, In targets, In weights, Out dlogits);
void squared_norm(In x, Out sums);
void adamw(In gradient, In control, Out weight, Out first_moment, Out second_moment);

}  // namespace hearth::check
