// Looking at a model without changing it. Everything here is collective over the data axis.
#pragma once

#include "trainer/rows.h"
#include "trainer/stage.h"

namespace hearth {

/// Mean loss over all rows, nats per valid target; rows are shared out over the data axis and summed in their order, so
/// the result is the same on every mesh. REQUIRES: at least one valid target, no row longer than the stage's capacity.
double mean_loss(Stage& stage, Mesh& mesh, Memory& memory, const Rows& rows);

/// For each row: whether the most likely token (of equals the smallest id) is the target at every place that has one,
/// given the row's own tokens before it. For a question with its answer that is: whether greedy generation gives
/// exactly the answer and then stops.
std::vector<bool> exact_matches(Stage& stage, Mesh& mesh, const Rows& rows);

}  // namespace hearth
