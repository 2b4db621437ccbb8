#include "trainer/verify_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "model/head.h"
#include "trainer/recipe_mesh.h"
#include "trainer/recipe_step.h"

namespace hearth {

namespace {

constexpr std::int64_t most_microbatch_rows = 2;  // a microbatch of several rows, and one that is short
/// Narrower, and a norm of heads has too few gains for their gradients not to cancel by chance.
constexpr std::int64_t narrow_head = 8;

/// The smallest size from `least` on that leaves what `size` leaves when divided by `parts`.
std::int64_t like(std::int64_t size, std::int64_t least, std::int64_t parts) {
  return least + ((size - least) % parts + parts) % parts;
}

int& place_of(MeshShape& shape, Axis axis) {
  switch (axis) {
    case Axis::pipe:
      return shape.pipe;
    case Axis::data:
      return shape.data;
    case Axis::context:
      return shape.context;
    case Axis::tensor:
      break;
  }
  return shape.tensor;
}

/// Microbatches of a step: the recipe's, or where those are many fewer rounds with as many places left empty.
std::int64_t microbatches_of(std::int64_t of_recipe, const MeshShape& shape) {
  const std::int64_t rounds = (of_recipe + shape.data - 1) / shape.data;
  const std::int64_t most = shape.pipe == 1 ? 3 : 2 * shape.pipe;
  const std::int64_t spare = rounds * shape.data - of_recipe;
  return std::max<std::int64_t>(1, std::min(rounds, most) * shape.data - spare);
}

/// Whether a microbatch has no target. With several data ranks: the last rank's microbatches of the second step and, if
/// more of its own follow, its first one of the first step, so that every rank takes part in the first step's gradient.
/// With one: the second microbatch of the first step.
bool without_target(bool first_step, std::int64_t microbatch, std::int64_t microbatches, std::int64_t data) {
  if (data == 1) return first_step && microbatch == 1;
  if (microbatch % data != data - 1) return false;
  return !first_step || (microbatch == data - 1 && microbatches >= 2 * data);
}

/// Rows of two steps. Lengths, documents and targets are uneven; the first row is longer than a chunk of the head on
/// every context rank.
ListedRows made_up(const VerifyPlan& plan, std::int64_t microbatches) {
  const Key key = Key(11).with("verify");
  std::uint64_t index = 0;
  const auto below = [&](std::int64_t count) {
    return static_cast<std::int64_t>(key.below(static_cast<std::uint64_t>(count), index++));
  };
  const std::int64_t data = plan.mesh.data;
  const std::int64_t of_step = microbatches * plan.step.microbatch_rows;
  const std::int64_t spread = std::max<std::int64_t>(20, 8 * plan.mesh.context);  // every context rank has documents
  std::vector<Row> rows;
  for (std::int64_t r = 0; r < 2 * of_step; ++r) {
    const bool first_step = r < of_step;
    const std::int64_t microbatch = r % of_step / plan.step.microbatch_rows;
    const bool without = without_target(first_step, microbatch, microbatches, data);
    const std::int64_t length = (r == 0 ? Head::chunk * plan.mesh.context : 0) + 5 + below(spread);
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> labels;
    for (std::int64_t t = 0; t < length; ++t) {
      ids.push_back(static_cast<std::int32_t>(below(plan.config.vocabulary)));
      const bool drawn = below(3) > 0;
      labels.push_back(!without && (drawn || t == 1) ? ids.back() : -100);  // never without by chance
    }
    std::vector<std::int32_t> starts{0};
    if (r % 3 != 2) starts.push_back(static_cast<std::int32_t>(1 + below(length - 1)));
    rows.push_back(labelled_row(std::move(ids), labels, std::move(starts)));
  }
  return ListedRows(std::move(rows));
}

}  // namespace

std::vector<Axis> axes_of(const MeshShape& shape) {
  std::vector<Axis> axes;
  for (const Axis axis : {Axis::pipe, Axis::data, Axis::context, Axis::tensor}) {
    if (size_of(shape, axis) > 1) axes.push_back(axis);
  }
  return axes;
}

int size_of(const MeshShape& shape, Axis axis) {
  MeshShape copy = shape;
  return place_of(copy, axis);
}

ModelConfig shrunk(const ModelConfig& config, const MeshShape& shape, int chunks) {
  ModelConfig small = config;
  const std::int64_t parts = shape.tensor;
  small.width = 24;
  small.hidden = like(config.hidden, std::max<std::int64_t>(37, 3 * parts), parts);
  small.vocabulary = like(config.vocabulary, std::max<std::int64_t>(61, 3 * parts), parts);
  small.head_width = narrow_head;
  if (config.window > 0) small.window = std::min<std::int64_t>(config.window, 7);
  const std::int64_t stages = static_cast<std::int64_t>(shape.pipe) * chunks;
  small.layers = std::max<std::int64_t>(2, (stages - 3 + 1) / 2);  // two blocks a layer, and three
  small.end_tokens.clear();
  small.begin_token.reset();
  small.padding_token.reset();
  small.source_json.clear();
  return small;
}

VerifyPlan verify_plan(const Recipe& recipe, const ModelConfig& config, int ranks) {
  VerifyPlan plan;
  plan.mesh = mesh_shape(recipe, ranks);
  const int chunks = chunks_of(recipe);
  check_model(config, plan.mesh, chunks);
  const StepRows rows = rows_of_first_start(recipe, plan.mesh.data);
  check_schedule(recipe, plan.mesh, rows.microbatches);
  plan.config = shrunk(config, plan.mesh, chunks);
  plan.label_smoothing = recipe.train.label_smoothing_factor;
  plan.dtype = recipe.train.dtype;
  plan.step = step_of_recipe(recipe, std::min(rows.microbatch, most_microbatch_rows));
  const std::int64_t microbatches = microbatches_of(rows.microbatches, plan.mesh);
  plan.rows = made_up(plan, microbatches);
  const std::int64_t of_step = microbatches * plan.step.microbatch_rows;
  plan.first_rows.resize(static_cast<std::size_t>(of_step));
  std::iota(plan.first_rows.begin(), plan.first_rows.end(), 0);
  plan.second_rows.resize(static_cast<std::size_t>(std::max<std::int64_t>(1, of_step - 1)));  // its end is short
  std::iota(plan.second_rows.begin(), plan.second_rows.end(), of_step);
  plan.placed = placed_of(recipe, plan.mesh);
  plan.placed.poison = Poison::yes;
  plan.placed.capacity = capacity_for(plan.rows, plan.step.microbatch_rows);
  return plan;
}

VerifyPlan on_axes(const VerifyPlan& plan, const std::vector<Axis>& axes) {
  VerifyPlan some = plan;
  some.mesh = {};
  for (const Axis axis : axes) place_of(some.mesh, axis) = size_of(plan.mesh, axis);
  const int sums = some.mesh.data * some.mesh.context;
  if (plan.mesh.shard > 0) some.mesh.shard = std::gcd(plan.mesh.shard, sums);
  if (some.mesh.pipe == 1) {
    some.placed.schedule = PipelineSchedule::one_f_one_b;
    some.placed.chunks = 1;
  }
  if (axes.empty()) {
    some.placed.zero_stage = 0;
    some.placed.recompute = 0;
    some.placed.order = SumOrder::fixed;
  }
  return some;
}

float verify_weight(const Parameter& parameter, std::int64_t index) {
  const Key key = Key(7).with("verify").with(parameter.name);
  const double spread = parameter.full.count == 1 ? 0.2 : 1 / std::sqrt(static_cast<double>(parameter.full[1]));
  const double middle = parameter.law.kind == Law::Kind::ones ? 1 : 0;
  return static_cast<float>(middle + spread * key.normal(static_cast<std::uint64_t>(index)));
}

}  // namespace hearth
