// Chains of blocks that are run on meshes, and how close to the uncut run they must be.
#pragma once

#include "model/attention.h"
#include "model/mesh_bench.h"

namespace hearth::test {

constexpr std::int64_t width = 10;  // D of every chain
const Law law = {Law::Kind::normal, 0.02F};
const AxisSizes meshes[] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {1, 2}, {1, 3}, {1, 4}, {2, 2}, {2, 4}, {3, 2}, {4, 2}};

std::string text(const AxisSizes& axes);

/// A chain of one block.
Chain of(std::function<std::unique_ptr<Block>(const AxisSizes&)> make, std::int64_t window = 0);
Chain attention(const AttentionSizes& sizes);
Chain mlp(std::int64_t hidden);
Chain head(std::int64_t vocabulary, double smoothing);
Chain embedding(std::int64_t vocabulary);
/// One layer between its ends, with everything in it: biases, head norms, grouped heads, label smoothing.
Chain model(std::int64_t heads, std::int64_t key_value_heads, std::int64_t vocabulary, std::int64_t window);

/// No biases, no head norms, no window.
AttentionSizes attention_sizes(std::int64_t heads, std::int64_t key_value_heads);
/// Query heads divide by the axis; key-value heads divide, or are shared by as many ranks as it takes.
bool fits(const AxisSizes& axes, std::int64_t heads, std::int64_t key_value_heads);

/// Documents of several lengths, padded for the axes. Borders of chunks lie inside them and beside them.
Documents documents(const AxisSizes& axes, std::int64_t vocabulary = 11,
                    const std::vector<std::int32_t>& lengths = {13, 1, 10, 7, 15});

/// Every value and every gradient: off by at most `allowed` of the largest element of its tensor. No complaints.
void expect_close(const Outcome& found, const Outcome& right, double allowed);
/// What a run in `dtype` may be off; longest_sum: the terms of the longest sum, of rows or of columns.
///
/// A result goes through d tensors, each made of sums of up to n terms. In f64 and f32 every term of a sum rounds
/// once; roundings are independent of each other, so their deviations add up like the root of their number, and single
/// elements reach four deviations:  4 u sqrt(n d)  of the largest element. In bf16 sums are f32 and only what is stored
/// rounds: 4 v sqrt(d), v = 2^-9 the deviation of a rounding whose largest value is 2^-8. A half of a layer stores 7
/// tensors on the way of the residual, two more where it is cut; an end stores two. Backward passes three times as many.
double allowed_in(Dtype dtype, const Chain& chain, double longest_sum = 128);

}  // namespace hearth::test
