// Saved on one mesh, read on any other: weights and moments by name, held-out loss, and the next step.
//
// Known failures D1 (state by rank and not by name), D2 (moments dropped without a word), D3 (names or counts that
// depend on the stage) and C5 (another loss of one checkpoint on another mesh).
#include <gtest/gtest.h>

#include <cmath>

#include "mesh/mesh_run.h"
#include "parallel/thread_world.h"
#include "support/shared.h"
#include "trainer/evaluate.h"
#include "trainer/weights.h"

namespace hearth {
namespace {

using test::ByName;
using test::MeshModel;
using test::MeshRun;

struct Contents {
  ByName weights, first, second;
  bool operator==(const Contents&) const = default;
};

Contents contents_of(MeshModel& m) {
  return {m.collected([](const FlatGroup::Piece& piece) { return piece.weight; }),
          m.collected([](const FlatGroup::Piece& piece) { return piece.first_moment; }),
          m.collected([](const FlatGroup::Piece& piece) { return piece.second_moment; })};
}

/// What a mesh has saved, and how it went on.
struct Saved {
  Contents contents;
  double held_out = 0;
  StepResult next;
  Contents after;
};

StepResult next_step(const MeshRun& run, MeshModel& m) {
  Stepper stepper(m.on.pipeline, m.on.groups, m.backend->ops(), m.backend->memory(), m.rows, step_options(run));
  return stepper.step(2, rows_of_step(run, 2), 1e-2);
}

RunState state() {
  RunState state;
  state.step = 2;
  state.row = 16;
  state.rows_of_epoch = 24;
  state.microbatches = 4;
  state.microbatch_rows = 2;
  return state;
}

/// Two steps, a checkpoint in `folder`, a third step.
Saved save_from(const MeshRun& run, const Path& folder) {
  Saved saved;
  ThreadWorld(run.mesh.ranks()).run([&](Communicator& world) {
    MeshModel m(run, world);
    {
      Stepper stepper(m.on.pipeline, m.on.groups, m.backend->ops(), m.backend->memory(), m.rows, step_options(run));
      for (int k = 0; k < 2; ++k) stepper.step(k, rows_of_step(run, k), 1e-2);
    }
    SaveOptions options;
    options.program = "hearth test";
    const SaveResult result = save_checkpoint(world, folder, state(), owned_pieces(m.on.groups, true), {}, options);
    require(result.committed, "a checkpoint of the mesh tests is committed");
    Contents contents = contents_of(m);
    const double held_out = mean_loss(m.on.pipeline, m.rows);
    const StepResult next = next_step(run, m);
    Contents after = contents_of(m);
    if (world.rank() == 0) saved = {std::move(contents), held_out, next, std::move(after)};
  });
  return saved;
}

bool same_sums(const MeshShape& a, const MeshShape& b) {
  return a.tensor == b.tensor && a.context == b.context;
}

void load_and_compare(const MeshRun& from, const Saved& saved, const MeshRun& to, const Path& step_folder) {
  const std::string between = from.text() + " -> " + to.text();
  ThreadWorld(to.mesh.ranks()).run([&](Communicator& world) {
    MeshModel m(to, world);
    fill_from_checkpoint(m.on.groups, CheckpointReader(step_folder), true);
    m.check_copies();
    const Contents contents = contents_of(m);
    const double held_out = mean_loss(m.on.pipeline, m.rows);
    const StepResult next = next_step(to, m);
    m.check_copies();
    const Contents after = contents_of(m);
    if (world.rank() > 0) return;
    EXPECT_TRUE(contents == saved.contents) << between;
    if (same_sums(from.mesh, to.mesh)) {
      EXPECT_EQ(held_out, saved.held_out) << between;
      EXPECT_EQ(next.loss, saved.next.loss) << between;
      EXPECT_EQ(next.norm, saved.next.norm) << between;
      EXPECT_TRUE(after == saved.after) << between;
    } else {
      const test::MeshErrors bounds = test::bounds_of(to);  // of one evaluation and one step: nothing has drifted
      EXPECT_LE(std::abs(held_out / saved.held_out - 1), bounds.loss) << between;
      EXPECT_LE(std::abs(next.loss / saved.next.loss - 1), bounds.loss) << between;
      EXPECT_LE(std::abs(next.norm / saved.next.norm - 1), bounds.norm) << between;
    }
  });
}

void all_pairs(const std::vector<MeshRun>& runs) {
  for (const MeshRun& from : runs) {
    const test::Folder folder;
    const Saved saved = save_from(from, folder.path());
    for (const MeshRun& to : runs) load_and_compare(from, saved, to, folder.path() / "step-2");
  }
}

/// Hidden width 37, vocabulary 61, two key-value heads (held by several ranks on tensor 4 and 6), tied ends.
TEST(Reload, AnyMeshReadsWhatAnyOtherSaved) {
  all_pairs({{.family = "twelve"},
             {.family = "twelve", .mesh = {.data = 2}, .zero_stage = 1},
             {.family = "twelve", .mesh = {.tensor = 2}},
             {.family = "twelve", .mesh = {.pipe = 2}, .schedule = PipelineSchedule::zero_bubble},
             {.family = "twelve", .mesh = {.context = 2}, .zero_stage = 3},
             {.family = "twelve", .mesh = {.data = 2, .context = 2}, .zero_stage = 1},
             {.family = "twelve", .mesh = {.data = 3}, .zero_stage = 3},
             {.family = "twelve", .mesh = {.data = 4, .shard = 2}, .zero_stage = 2},
             {.family = "twelve", .mesh = {.pipe = 2, .tensor = 2}, .zero_stage = 3},
             {.family = "twelve", .mesh = {.tensor = 4}},
             {.family = "twelve", .mesh = {.pipe = 2, .data = 2}, .zero_stage = 2},
             {.family = "twelve", .mesh = {.tensor = 6}},
             {.family = "twelve", .mesh = {.data = 3, .tensor = 2}, .zero_stage = 3},
             {.family = "twelve", .mesh = {.pipe = 3, .context = 2}, .zero_stage = 0}});
}

/// Three key-value heads, ends that are not tied, sizes that three does not divide.
TEST(Reload, TensorAxesOfThreeAndSix) {
  all_pairs({{.family = "llama_three"},
             {.family = "llama_three", .mesh = {.tensor = 3}},
             {.family = "llama_three", .mesh = {.data = 2, .tensor = 3}, .zero_stage = 3},
             {.family = "llama_three", .mesh = {.tensor = 6}},
             {.family = "llama_three", .mesh = {.pipe = 6}},
             {.family = "llama_three",
              .mesh = {.pipe = 2, .data = 2},
              .zero_stage = 3,
              .schedule = PipelineSchedule::interleaved,
              .chunks = 2}});
}

}  // namespace
}  // namespace hearth
