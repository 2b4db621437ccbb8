// FlatGroup against plain arrays, at every stage, on one to four ranks.
#include "parallel/flat_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <mutex>
#include <set>

#include "fake_training.h"
#include "kernels/backend.h"
#include "parallel/global_norm.h"
#include "parallel/thread_world.h"

namespace hearth {
namespace {

using test::FakeRun;
using test::flat_parameter;

constexpr std::array<ZeroStage, 4> stages{ZeroStage::replicated, ZeroStage::optimizer, ZeroStage::gradients,
                                          ZeroStage::weights};

/// What a group needs around it, on one rank.
struct Bench {
  explicit Bench(Communicator& data_axis) : mesh(data_axis, {.data = data_axis.size()}) {}

  FlatGroup group(std::vector<Parameter> parameters, FlatOptions options) {
    return FlatGroup("layers.3", std::move(parameters), options, mesh, backend->ops(), backend->memory(), pool);
  }

  Mesh mesh;
  std::unique_ptr<Backend> backend = make_plain_backend();
  GatherPool pool{backend->ops(), backend->memory(), Poison::yes};
};

void add_constant(FlatGroup& group, float value, int accumulator = 0) {
  for (const Tensor& gradient : group.begin_gradients(accumulator)) {
    for (float& element : gradient.span<float>()) element += value;
  }
  group.reduce(accumulator);
}

void expect_gradient(const FlatGroup& group, float value) {
  for (const FlatGroup::Piece& piece : group.updated()) {
    for (const float element : piece.gradient.span<float>()) ASSERT_EQ(element, value) << group.name();
  }
}

// ---- every mesh equals plain arrays

void expect_plain(const FakeRun& run) {
  SCOPED_TRACE(fmt::format("{} ranks, stage {}, {}", run.ranks, run.stage, name_of(run.compute)));
  const auto plain = test::train_plainly(run);
  const auto result = test::train(run);
  EXPECT_EQ(result.weights, plain.weights);
  EXPECT_EQ(result.moments, plain.moments);
  EXPECT_EQ(result.norms, plain.norms);
  for (const std::uint64_t takes : result.takes_when_warm) EXPECT_EQ(takes, 0U) << "a warm step took memory";
}

TEST(FlatGroup, EveryMeshAndStageEqualsPlainArraysBitForBit) {
  for (const Dtype compute : {Dtype::f32, Dtype::bf16}) {
    for (const int ranks : {1, 2, 4}) {
      for (int stage = 0; stage <= 3; ++stage) {
        expect_plain({.groups = test::uneven_groups(), .ranks = ranks, .stage = stage, .compute = compute});
      }
    }
  }
}

TEST(FlatGroup, ThreeRanksEqualPlainArrays) {
  for (int stage = 0; stage <= 3; ++stage) {
    expect_plain({.groups = test::uneven_groups(), .ranks = 3, .stage = stage, .microbatches = 6});
  }
}

TEST(FlatGroup, DelaysChangeNothing) {
  for (const int ranks : {2, 4}) {
    for (const int stage : {1, 3}) {
      expect_plain({.groups = test::uneven_groups(), .ranks = ranks, .stage = stage, .steps = 12, .delays = true});
    }
  }
}

// ---- gradients of known constants

TEST(FlatGroup, MicrobatchesOfOneTwoAndFourArriveAsSeven) {
  for (const int ranks : {1, 2, 4}) {
    ThreadWorld(ranks).run([](Communicator& data) {
      for (const ZeroStage stage : stages) {
        Bench bench(data);
        FlatGroup group = bench.group({flat_parameter("weight", 1000)}, {stage, Dtype::f32, 1});
        for (const float value : {1.0F, 2.0F, 4.0F}) add_constant(group, value / static_cast<float>(data.size()));
        group.finish();
        expect_gradient(group, 7);
      }
    });
  }
}

TEST(FlatGroup, TheBoundaryMicrobatchAloneArrives) {
  ThreadWorld(2).run([](Communicator& data) {
    for (const ZeroStage stage : stages) {
      Bench bench(data);
      FlatGroup group = bench.group({flat_parameter("weight", 1000)}, {stage, Dtype::f32, 2});
      for (const float value : {0.0F, 0.0F, 3.0F}) {
        add_constant(group, 0, 0);
        add_constant(group, value, 1);
      }
      group.finish();
      expect_gradient(group, 6);
    }
  });
}

TEST(FlatGroup, EqualMicrobatchesGrowTheGradientEvenly) {
  ThreadWorld(2).run([](Communicator& data) {
    for (const ZeroStage stage : stages) {
      Bench bench(data);
      FlatGroup group = bench.group({flat_parameter("weight", 700)}, {stage, Dtype::bf16, 1});
      for (int k = 1; k <= 6; ++k) {  // and a reset forgets
        for (int i = 0; i < k; ++i) add_constant(group, 0.5F);
        group.finish();
        expect_gradient(group, static_cast<float>(k));
        group.reset();
      }
    }
  });
}

// ---- weights

TEST(FlatGroup, ReleasedWeightsArePoisoned) {
  ThreadWorld(2).run([](Communicator& data) {
    Bench bench(data);
    for (const Dtype compute : {Dtype::f32, Dtype::bf16}) {
      FlatGroup group = bench.group({flat_parameter("weight", 600)}, {ZeroStage::weights, compute, 1});
      group.fill(FlatGroup::Part::weight, [](const Parameter&, const Stretch& where, float* out) {
        for (std::int64_t i = 0; i < where.columns; ++i) *out++ = static_cast<float>((where.begin + i) % 100);
      });
      const auto number = [](In x, std::int64_t i) {
        return x.dtype == Dtype::f32 ? x.typed<float>()[i] : static_cast<float>(x.typed<Bf16>()[i]);
      };
      const Tensor view = group.whole()[0];
      for (std::int64_t i = 0; i < 600; ++i) ASSERT_EQ(number(view, i), static_cast<float>(i % 100));
      group.release();
      for (std::int64_t i = 0; i < 600; ++i) ASSERT_TRUE(std::isnan(number(view, i)));
    }
  });
}

TEST(FlatGroup, FreshWeightsAreTheSameOnEveryMeshAndAskedForOnce) {
  std::vector<Parameter> parameters{flat_parameter("first", 300), flat_parameter("second", 5),
                                    flat_parameter("third", 777)};
  for (Parameter& parameter : parameters) parameter.law = {Law::Kind::normal, 0.02F};
  for (const int ranks : {1, 2, 3, 4}) {
    for (const ZeroStage stage : stages) {
      std::mutex mutex;
      std::multiset<std::pair<std::string, std::int64_t>> asked;
      ThreadWorld(ranks).run([&](Communicator& data) {
        Bench bench(data);
        FlatGroup group = bench.group(parameters, {stage, Dtype::f32, 1});
        const Key seed(11);
        group.fill(FlatGroup::Part::weight, [&](const Parameter& parameter, const Stretch& where, float* out) {
          const std::lock_guard lock(mutex);
          for (std::int64_t i = where.begin; i < where.begin + where.columns; ++i) {
            asked.emplace(parameter.name, i);
            *out++ = initial_value(parameter, seed, i);
          }
        });
        const auto weights = group.whole();
        for (std::size_t p = 0; p < parameters.size(); ++p) {
          for (std::int64_t i = 0; i < parameters[p].full.elements(); ++i) {
            ASSERT_EQ(weights[p].typed<float>()[i], initial_value(parameters[p], seed, i));
          }
        }
        group.release();
      });
      EXPECT_EQ(asked.size(), 1082U) << "no rank reads what another owns";
      EXPECT_EQ(std::set(asked.begin(), asked.end()).size(), 1082U);
    }
  }
}

TEST(FlatGroup, MomentsAreFilledOnEveryRankThatUpdatesThem) {
  ThreadWorld(2).run([](Communicator& data) {
    for (const ZeroStage stage : stages) {
      Bench bench(data);
      FlatGroup group = bench.group({flat_parameter("weight", 900)}, {stage, Dtype::f32, 1});
      const auto count_up = [](const Parameter&, const Stretch& where, float* out) {
        for (std::int64_t i = 0; i < where.columns; ++i) *out++ = static_cast<float>(where.begin + i);
      };
      group.fill(FlatGroup::Part::second_moment, count_up);
      for (const FlatGroup::Piece& piece : group.updated()) {
        for (std::int64_t i = 0; i < piece.weight.elements(); ++i) {
          ASSERT_EQ(piece.second_moment.typed<float>()[i], static_cast<float>(piece.offset + i));
          ASSERT_EQ(piece.first_moment.typed<float>()[i], 0);
        }
      }
    }
  });
}

TEST(FlatGroup, AFrozenGroupKeepsItsWeightsInTheComputeDtype) {
  ThreadWorld(2).run([](Communicator& data) {
    for (const ZeroStage stage : stages) {
      Bench bench(data);
      Parameter parameter = flat_parameter("weight", 512);
      parameter.trainable = false;
      const std::size_t before = bench.backend->memory().now();
      FlatGroup group = bench.group({parameter}, {stage, Dtype::bf16, 0});
      EXPECT_EQ(bench.backend->memory().now() - before, stage == ZeroStage::weights ? 512U : 1024U);
      group.fill(FlatGroup::Part::weight, [](const Parameter&, const Stretch& where, float* out) {
        for (std::int64_t i = 0; i < where.columns; ++i) *out++ = static_cast<float>((where.begin + i) % 200);
      });
      const Tensor weight = group.whole()[0];
      for (std::int64_t i = 0; i < 512; ++i)
        ASSERT_EQ(static_cast<float>(weight.typed<Bf16>()[i]), static_cast<float>(i % 200));
      EXPECT_THROW(group.begin_gradients(), Error);
      EXPECT_THROW(group.finish(), Error);
    }
  });
}

// ---- the order of calls

template <class Call>
void expect_refused(const Call& call, const char* what) {
  try {
    call();
    ADD_FAILURE() << "not refused: " << what;
  } catch (const Error& error) {
    EXPECT_THAT(error.text(), testing::AllOf(testing::HasSubstr("layers.3"), testing::HasSubstr(what)));
  }
}

TEST(FlatGroup, WrongTransitionsNameTheGroup) {
  const auto self = make_self_communicator();
  for (const ZeroStage stage : stages) {
    Bench bench(*self);
    FlatGroup group = bench.group({flat_parameter("weight", 10)}, {stage, Dtype::bf16, 1});
    expect_refused([&] { group.weights(); }, "weights() outside");
    expect_refused([&] { group.release(); }, "release()");
    group.prefetch();
    expect_refused([&] { group.prefetch(); }, "prefetch()");
    expect_refused([&] { group.publish(); }, "publish()");
    expect_refused([&] { group.release(); }, "release()");
    group.whole();
    expect_refused([&] { group.whole(); }, "whole()");
    expect_refused([&] { group.fill(FlatGroup::Part::weight, {}); }, "fill()");
    group.release();
    expect_refused([&] { group.reduce(); }, "reduce() without");
    expect_refused([&] { group.begin_gradients(1); }, "accumulator");
    group.begin_gradients();
    expect_refused([&] { group.begin_gradients(); }, "begin_gradients() before");
    expect_refused([&] { group.finish(); }, "finish() before");
    expect_refused([&] { group.reset(); }, "reset()");
    group.reduce();
    group.finish();
    expect_refused([&] { group.finish(); }, "finish() twice");
    expect_refused([&] { group.begin_gradients(); }, "between finish() and reset()");
    group.reset();
  }
}

// ---- norms

TEST(GlobalNorm, NamesTheFirstGroupThatIsNotFinite) {
  ThreadWorld(2).run([](Communicator& data) {
    Bench bench(data);
    FlatGroup fine = bench.group({flat_parameter("a", 1000)}, {ZeroStage::weights, Dtype::f32, 1});
    FlatGroup broken = bench.group({flat_parameter("b", 2000)}, {ZeroStage::weights, Dtype::f32, 1});
    GlobalNorm norm({{&fine, 0}, {&broken, 1}}, 2, bench.mesh, bench.backend->memory());
    add_constant(fine, 1);
    const auto gradients = broken.begin_gradients();
    if (data.rank() == 0) gradients[0].typed<float>()[1999] = std::numeric_limits<float>::infinity();
    broken.reduce();
    fine.finish();
    broken.finish();
    const Tensor result = norm.measure();
    EXPECT_FALSE(std::isfinite(result.typed<double>()[0]));
    EXPECT_EQ(result.typed<double>()[1], 1);
  });
}

}  // namespace
}  // namespace hearth
