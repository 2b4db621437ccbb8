// What `verify` runs: a small copy of a recipe's model, rows that are made up, and the recipe's way of training.
#pragma once

#include <vector>

#include "model/config.h"
#include "parallel/mesh.h"
#include "trainer/model_on_mesh.h"
#include "trainer/recipe.h"
#include "trainer/rows.h"
#include "trainer/step.h"

namespace hearth {

/// The rate of its steps: small, so that a weight whose gradient is rounding noise, and which therefore moves either
/// way, does not change the next step; large against the spacing of f32.
constexpr double verify_rate = 1e-3;

struct VerifyPlan {
  ModelConfig config;
  double label_smoothing = 0;
  MeshShape mesh;
  Dtype dtype = Dtype::f32;  // the recipe's
  PlacedOptions placed;      // `compute` is the recipe's dtype
  StepOptions step;
  bool one_kind = true;  // ranks compute on one kind of processor: only then are bits promised
  ListedRows rows{{}};
  std::vector<std::int64_t> first_rows, second_rows;  // of its two steps
};

/// Of `config` the same architecture, biases, norms of heads, tied ends, rotary settings, heads and key-value heads; narrow heads
/// and widths; hidden width and vocabulary leave the same rest when divided by `shape.tensor`; a window of seven where
/// there is one; as few layers as the stages and chunks allow, and at least two.
ModelConfig shrunk(const ModelConfig& config, const MeshShape& shape, int chunks);

/// For `ranks` ranks. The mesh, ZeRO, shards, schedule, chunks, recomputation, order of sums, smoothing, clipping and
/// AdamW are the recipe's; at most two rows a microbatch and a few rounds of microbatches, those of the recipe where it
/// has no more. Throws Kind::usage where the recipe does not fit the ranks or the model, as `train` does.
VerifyPlan verify_plan(const Recipe& recipe, const ModelConfig& config, int ranks);

/// The same model and rows on a mesh that has `axes` alone; none: one rank, ZeRO 0, one after the other.
VerifyPlan on_axes(const VerifyPlan& plan, const std::vector<Axis>& axes);

/// The axes of the mesh that have more than one rank, outermost first.
std::vector<Axis> axes_of(const MeshShape& shape);
int size_of(const MeshShape& shape, Axis axis);

/// The weights that it begins with: a function of name and index. Norms about one, matrices of unit gain, so that every
/// path through the model matters.
float verify_weight(const Parameter& parameter, std::int64_t index);

}  // namespace hearth
