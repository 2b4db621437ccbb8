// What other programs got wrong on meshes (their defects have numbers in docs/parallelism.md), each as a test.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "mesh/mesh_run.h"
#include "parallel/thread_world.h"
#include "trainer/evaluate.h"
#include "trainer/probe.h"
#include "trainer/weights.h"

namespace hearth {
namespace {

using test::Allowed;
using test::ByName;
using test::MeshModel;
using test::MeshResult;
using test::MeshRun;

void expect_oracle(const MeshRun& run, const MeshResult& oracle) {
  EXPECT_EQ(test::difference(run, test::run_threads(run), oracle), "") << run.text();
}

double size_of_all(const ByName& gradients) {
  double sum = 0;
  for (const auto& [name, values] : gradients) {
    for (const float value : values) sum += static_cast<double>(value) * value;
  }
  return std::sqrt(sum);
}

/// A1: every stage scaled the running sum once a microbatch. Moments are shares of the gradients and of their squares.
TEST(KnownFailure, A1_StagesTimesMicrobatches) {
  for (const int microbatches : {1, 2, 3, 8}) {
    MeshRun run{.family = "llama_tied", .steps = 1, .rows_a_step = 2 * microbatches};
    const MeshResult oracle = test::run_alone(run);
    for (const int stages : {1, 2, 4}) {
      for (const auto schedule :
           {PipelineSchedule::one_f_one_b, PipelineSchedule::zero_bubble, PipelineSchedule::interleaved}) {
        if (schedule == PipelineSchedule::interleaved && (stages == 1 || microbatches % stages != 0)) continue;
        run.mesh = {.pipe = stages};
        run.schedule = schedule;
        run.chunks = schedule == PipelineSchedule::interleaved ? 2 : 1;
        expect_oracle(run, oracle);
      }
    }
  }
}

/// A8: the loss was divided by a rank's own count. B8: a rank without a target made NaN of 0 / 0.
TEST(KnownFailure, A8_B8_UnevenTargetsOnRanks) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const MeshRun base{.dtype = dtype, .steps = 1, .microbatch_rows = 1, .rows_a_step = 4, .rows = "uneven"};
    const MeshResult oracle = test::run_alone(base);
    for (const MeshShape& mesh : std::vector<MeshShape>{{.data = 4},
                                                        {.data = 2},
                                                        {.pipe = 2, .data = 4},
                                                        {.context = 2},
                                                        {.context = 4},
                                                        {.data = 4, .context = 2},
                                                        {.tensor = 4},
                                                        {.data = 4, .tensor = 2},
                                                        {.data = 2, .context = 2, .tensor = 2}}) {
      MeshRun run = base;
      run.mesh = mesh;
      run.zero_stage = mesh.data > 1 ? 3 : 0;
      expect_oracle(run, oracle);
    }
  }
}

/// B4: masked tokens stayed in the denominator. A row without targets is as if it were absent, to the bit.
TEST(KnownFailure, B4_AMaskedRowIsAnAbsentRow) {
  const MeshRun with{.steps = 1, .microbatch_rows = 1, .rows_a_step = 4, .rows = "uneven"};
  const MeshRun without{.steps = 1, .microbatch_rows = 1, .rows_a_step = 3, .rows = "counted"};
  for (const MeshShape& mesh : {MeshShape{}, MeshShape{.data = 2}, MeshShape{.tensor = 2}, MeshShape{.context = 2}}) {
    MeshRun a = with;
    MeshRun b = without;
    a.mesh = b.mesh = mesh;
    const MeshResult some = test::run_threads(a);
    const MeshResult other = test::run_threads(b);
    EXPECT_EQ(some.losses, other.losses) << mesh.text();
    EXPECT_EQ(some.norms, other.norms) << mesh.text();
    EXPECT_EQ(some.gradients, other.gradients) << mesh.text();
    EXPECT_EQ(some.weights, other.weights) << mesh.text();
  }
}

/// B1: a mean of means. One batch of very uneven rows as 8 x 1, 4 x 2, 2 x 4 and 1 x 8. B3: label smoothing had a
/// denominator of its own.
TEST(KnownFailure, B1_B3_SplitsOfOneBatch) {
  for (const double smoothing : {0.0, 0.1}) {
    const MeshRun whole{.steps = 1, .smoothing = smoothing, .microbatch_rows = 8};
    const MeshResult oracle = test::run_alone(whole);
    for (const int rows : {1, 2, 4}) {
      for (const int ranks : {1, 2}) {
        MeshRun run = whole;
        run.mesh.data = ranks;
        run.microbatch_rows = rows;
        // Products over fewer rows are other sums: not the same bits.
        EXPECT_EQ(test::difference(run, test::run_threads(run), oracle, Allowed::rounding), "") << run.text();
      }
    }
  }
}

/// B2: the last, partial window was divided by the configured number. Ten rows, four a step: the third step's loss and
/// norm are those of its two rows.
TEST(KnownFailure, B2_ThePartialWindow) {
  for (const MeshShape& mesh : {MeshShape{}, MeshShape{.data = 4}, MeshShape{.pipe = 2, .data = 2}}) {
    ThreadWorld(mesh.ranks()).run([&](Communicator& world) {
      const MeshRun run{.mesh = mesh, .microbatch_rows = 1};
      MeshModel m(run, world);
      Stepper stepper(m.on.pipeline, m.on.groups, m.backend->ops(), m.backend->memory(), m.rows, step_options(run));
      stepper.step(0, std::vector<std::int64_t>{0, 1, 2, 3}, 1e-2);
      stepper.step(1, std::vector<std::int64_t>{4, 5, 6, 7}, 1e-2);
      const ListedRows last({m.rows.row(8), m.rows.row(10)});
      const Probed alone = probe(m.on.pipeline, m.on.groups, last, {.gradients = true});
      const StepResult third = stepper.step(2, std::vector<std::int64_t>{8, 10}, 1e-2);
      EXPECT_EQ(third.loss, alone.loss) << mesh.text();
      // The norm is of f64 sums of squares of the same f32 gradients.
      if (world.rank() == 0) {
        EXPECT_NEAR(third.norm / size_of_all(alone.gradients), 1, 1e-12) << mesh.text();
      }
    });
  }
}

/// A9: the gradient of a norm's gain, which all tensor ranks hold, depended on the size of the axis. A11, A12: the norm
/// was taken over a stage or a part. It is that of the gathered gradient, and clipping is at work on every mesh.
TEST(KnownFailure, A9_A11_A12_TheNormIsThatOfTheWholeGradient) {
  const MeshRun base{.family = "qwen3", .steps = 1};
  const MeshResult oracle = test::run_alone(base);
  ASSERT_GT(oracle.norms.at(0), 2 * step_options(base).max_norm) << "clipping must be at work";
  int gains = 0;
  for (const auto& [name, values] : oracle.gradients) gains += name.find("norm") != std::string::npos ? 1 : 0;
  EXPECT_EQ(gains, 4 * 4 + 1) << "two of each layer, two of its heads, and the final one";
  for (const MeshShape& mesh : std::vector<MeshShape>{{.tensor = 2},
                                                      {.tensor = 4},
                                                      {.pipe = 4},
                                                      {.pipe = 2, .tensor = 2},
                                                      {.context = 2},
                                                      {.data = 2, .context = 2, .tensor = 2},
                                                      {.pipe = 2, .data = 2, .context = 2}}) {
    ThreadWorld(mesh.ranks()).run([&](Communicator& world) {
      MeshRun run = base;
      run.mesh = mesh;
      run.zero_stage = mesh.data * mesh.context > 1 ? 3 : 0;
      MeshModel m(run, world);
      const ListedRows rows({m.rows.row(0), m.rows.row(1)});
      const Probed probed = probe(m.on.pipeline, m.on.groups, rows, {.gradients = true});
      MeshRun single = run;
      single.microbatch_rows = 1;
      Stepper stepper(m.on.pipeline, m.on.groups, m.backend->ops(), m.backend->memory(), rows, step_options(single));
      const StepResult step = stepper.step(0, std::vector<std::int64_t>{0, 1}, 1e-2);
      if (world.rank() == 0) {
        EXPECT_NEAR(step.norm / size_of_all(probed.gradients), 1, 1e-12) << mesh.text();
      }
    });
    MeshRun run = base;
    run.mesh = mesh;
    expect_oracle(run, oracle);
  }
}

/// C1: real defects hid behind "another order of sums". An error of 1e-3 in any one gradient is found and named.
TEST(KnownFailure, C1_AnErrorOfAThousandthIsFound) {
  const MeshRun run{.family = "qwen2", .mesh = {.context = 2, .tensor = 2}, .steps = 1};
  const MeshResult oracle = test::run_alone(run);
  const MeshResult good = test::run_threads(run);
  ASSERT_EQ(test::difference(run, good, oracle), "");
  for (const auto& [name, values] : oracle.gradients) {
    MeshResult bad = good;
    for (float& value : bad.gradients.at(name)) value *= 1.001F;
    const std::string told = test::difference(run, bad, oracle);
    EXPECT_NE(told.find("gradient of " + name + ":"), std::string::npos) << name << ": " << told;
    bad = good;
    for (float& value : bad.first_moments.at(name)) value *= 1.001F;
    EXPECT_NE(test::difference(run, bad, oracle).find("first moment of " + name + ":"), std::string::npos) << name;
  }
}

/// C2: columns that pad the vocabulary took part in the softmax.
TEST(KnownFailure, C2_AVocabularyOf97) {
  for (const double smoothing : {0.0, 0.1}) {
    const MeshRun base{.family = "vocabulary_97", .steps = 1, .smoothing = smoothing};
    const MeshResult oracle = test::run_alone(base);
    for (const int tensor : {2, 3, 4}) {
      MeshRun run = base;
      run.mesh.tensor = tensor;
      expect_oracle(run, oracle);
    }
  }
}

/// C3: 18 meshes, 18 first losses. Fresh weights are the same bits on each.
TEST(KnownFailure, C3_EighteenMeshesOneBeginning) {
  const std::vector<MeshShape> meshes = {{},
                                         {.data = 2},
                                         {.data = 3},
                                         {.data = 4, .shard = 2},
                                         {.tensor = 2},
                                         {.tensor = 4},
                                         {.tensor = 6},
                                         {.pipe = 2},
                                         {.pipe = 3},
                                         {.pipe = 4},
                                         {.context = 2},
                                         {.context = 3},
                                         {.pipe = 2, .data = 2},
                                         {.pipe = 2, .tensor = 2},
                                         {.data = 2, .tensor = 2},
                                         {.context = 2, .tensor = 2},
                                         {.pipe = 2, .context = 2},
                                         {.pipe = 2, .data = 2, .tensor = 2}};
  ASSERT_EQ(meshes.size(), 18U);
  ByName first;
  for (std::size_t i = 0; i < meshes.size(); ++i) {
    ThreadWorld(meshes[i].ranks()).run([&](Communicator& world) {
      MeshModel m({.family = "twelve", .mesh = meshes[i], .zero_stage = static_cast<int>(i % 4)}, world);
      fill_fresh(m.on.groups, 42);
      m.check_copies();
      const ByName weights = m.collected([](const FlatGroup::Piece& piece) { return piece.weight; });
      if (world.rank() > 0) return;
      if (i == 0) first = weights;
      EXPECT_TRUE(weights == first) << meshes[i].text();
    });
  }
  ASSERT_FALSE(first.empty());
}

/// C7, A16: two runs of one recipe on one mesh differed. A hundred steps twice, on axes whose sums are not one rank's.
TEST(KnownFailure, C7_A16_TwoRunsAreTheSameBits) {
  for (const MeshShape& mesh : {MeshShape{.context = 2, .tensor = 2}, MeshShape{.pipe = 2, .data = 2, .tensor = 2}}) {
    const auto hundred = [&] {
      ByName weights;
      std::vector<double> numbers;
      ThreadWorld(mesh.ranks()).run([&](Communicator& world) {
        const MeshRun run{.family = "qwen3", .mesh = mesh, .zero_stage = 1, .dtype = Dtype::bf16, .threads = 2};
        MeshModel m(run, world);
        Stepper stepper(m.on.pipeline, m.on.groups, m.backend->ops(), m.backend->memory(), m.rows, step_options(run));
        for (int step = 0; step < 100; ++step) {
          std::vector<std::int64_t> rows(4);
          std::iota(rows.begin(), rows.end(), 4 * step % 24);
          const StepResult done = stepper.step(step, rows, 1e-3);
          if (world.rank() > 0) continue;
          numbers.push_back(done.loss);
          numbers.push_back(done.norm);
        }
        const ByName all = m.collected([](const FlatGroup::Piece& piece) { return piece.weight; });
        if (world.rank() == 0) weights = all;
      });
      return std::pair(weights, numbers);
    };
    EXPECT_TRUE(hundred() == hundred()) << mesh.text();
  }
}

/// Calls of every operation.
std::vector<std::int64_t> calls_of(Communicator& of) {
  const Traffic& t = of.traffic();
  std::vector<std::int64_t> calls;
  for (const Traffic::Count& count : {t.sum, t.gather, t.reduce_scatter, t.exchange, t.point, t.barrier}) {
    calls.push_back(static_cast<std::int64_t>(count.calls));
  }
  return calls;
}

/// Whether every rank of a communicator has made as many calls on it as the first.
bool agree(Communicator& of) {
  const std::vector<std::int64_t> mine = calls_of(of);
  const auto count = static_cast<std::int64_t>(mine.size());
  std::vector<std::int64_t> all(mine.size() * static_cast<std::size_t>(of.size()));
  std::vector<std::int64_t> given = mine;
  of.gather(Tensor(given.data(), Dtype::i64, {count}), Tensor(all.data(), Dtype::i64, {count * of.size()})).wait();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] != mine[i % mine.size()]) return false;
  }
  return true;
}

/// E2: ranks with other data skipped a collective. Rounds that leave ranks idle, rows without a target and rows full of
/// them are the same calls in the same number.
TEST(KnownFailure, E2_CollectivesDoNotDependOnData) {
  for (const MeshShape& mesh :
       {MeshShape{.data = 4}, MeshShape{.data = 2, .tensor = 2}, MeshShape{.pipe = 2, .data = 2, .context = 2}}) {
    ThreadWorld(mesh.ranks()).run([&](Communicator& world) {
      const MeshRun run{.mesh = mesh, .zero_stage = 3, .microbatch_rows = 1, .rows_a_step = 4, .rows = "uneven"};
      MeshModel m(run, world);
      Stepper stepper(m.on.pipeline, m.on.groups, m.backend->ops(), m.backend->memory(), m.rows, step_options(run));
      std::vector<std::vector<std::int64_t>> calls;
      for (const std::vector<std::int64_t>& rows :
           std::vector<std::vector<std::int64_t>>{{0, 1, 2, 3}, {2, 2, 2, 0}, {1, 1, 1, 1}}) {
        const std::vector<std::int64_t> before = calls_of(m.mesh.sums());
        stepper.step(0, rows, 1e-3);
        calls.push_back(calls_of(m.mesh.sums()));
        for (std::size_t i = 0; i < before.size(); ++i) calls.back()[i] -= before[i];
        EXPECT_EQ(calls.back(), calls.front()) << mesh.text();
      }
      stepper.step(0, std::vector<std::int64_t>{1}, 1e-3);  // all but one are idle
      for (Communicator* of : {&m.mesh.sums(), &m.mesh.shard(), &m.mesh.along(Axis::tensor),
                               &m.mesh.along(Axis::context), &m.mesh.along(Axis::pipe)}) {
        EXPECT_TRUE(agree(*of)) << mesh.text();
      }
    });
  }
}

/// The fast order is within the bound of the fixed one, on one rank and on many; where ZeRO leaves a rank no room for a
/// gradient of its own it is the fixed one.
TEST(SumOrder, FastIsWithinTheBound) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const MeshRun base{.family = "llama_tied", .dtype = dtype, .order = SumOrder::fast};
    const MeshResult oracle = test::run_alone(base);
    for (int stage = 0; stage <= 3; ++stage) {
      for (const MeshShape& mesh :
           {MeshShape{}, MeshShape{.data = 2}, MeshShape{.pipe = 2, .data = 2}, MeshShape{.data = 2, .tensor = 2}}) {
        MeshRun run = base;
        run.mesh = mesh;
        run.zero_stage = stage;
        if (run.mesh.pipe > 1) run.schedule = PipelineSchedule::zero_bubble;
        const bool fixed = stage >= 2 && mesh.data > 1 && mesh.tensor == 1;
        EXPECT_EQ(test::difference(run, test::run_threads(run), oracle, fixed ? Allowed::nothing : Allowed::rounding),
                  "")
            << run.text();
      }
    }
  }
}

}  // namespace
}  // namespace hearth
