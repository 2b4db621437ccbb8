// Looking at a model without changing it. Everything here is collective over the whole mesh.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "trainer/pipeline.h"
#include "trainer/rows.h"

namespace hearth {

/// Mean loss over all rows, nats per valid target; rows are shared out over the data axis and summed in their order, so
/// the result is the same on every mesh whose tensor and context axes are of one size. REQUIRES: at least one valid
/// target, no row longer than the stage's capacity.
double mean_loss(Pipeline& pipeline, const Rows& rows);

/// Whether an evaluation is to end early, as this rank sees it. What it says on any rank counts: all ranks ask each other
/// before every microbatch (on a pipeline before one in 8 (stages - 1) + 1, because asking empties it), and end together.
using Asked = std::function<bool()>;
/// The same, or nothing where it ended early. Without `asked` ranks do not ask each other.
std::optional<double> mean_loss(Pipeline& pipeline, const Rows& rows, const Asked& asked);

/// For each row: whether the most likely token (of equals the smallest id) is the target at every place that has one,
/// given the row's own tokens before it. For a question with its answer that is: whether greedy generation gives
/// exactly the answer and then stops. Throws Kind::numeric on every rank where logits of an answer hold NaN.
std::vector<bool> exact_matches(Pipeline& pipeline, const Rows& rows);
/// The same, or nothing where it ended early.
std::optional<std::vector<bool>> exact_matches(Pipeline& pipeline, const Rows& rows, const Asked& asked);

/// x = the sum over data, context and pipe ranks: for numbers that some of them have, the others holding zero.
///   x: f64 or i64. The tensor axis holds them in as many equal copies.
void add_up(Mesh& mesh, Out x);

}  // namespace hearth
