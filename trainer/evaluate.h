// Looking at a model without changing it. Everything here is collective over the whole mesh.
#pragma once

#include "trainer/pipeline.h"
#include "trainer/rows.h"

namespace hearth {

/// Mean loss over all rows, nats per valid target; rows are shared out over the data axis and summed in their order, so
/// the result is the same on every mesh whose tensor and context axes are of one size. REQUIRES: at least one valid
/// target, no row longer than the stage's capacity.
double mean_loss(Pipeline& pipeline, const Rows& rows);

/// For each row: whether the most likely token (of equals the smallest id) is the target at every place that has one,
/// given the row's own tokens before it. For a question with its answer that is: whether greedy generation gives
/// exactly the answer and then stops.
std::vector<bool> exact_matches(Pipeline& pipeline, const Rows& rows);

/// x = the sum over data, context and pipe ranks: for numbers that some of them have, the others holding zero.
///   x: f64 or i64. The tensor axis holds them in as many equal copies.
void add_up(Mesh& mesh, Out x);

}  // namespace hearth
