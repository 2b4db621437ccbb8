// What a plan says a step sends is what the counters of real ranks count, call by call and byte by byte.
#include "trainer/plan_traffic.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <set>

#include "trainer/mesh_cases.h"

namespace hearth {
namespace {

using test::mesh_cases;
using test::MeshCase;

using Named = std::map<std::string, Traffic>;  // what there is one rank of is left out

void add(Traffic::Count& to, const Traffic::Count& more) {
  to.calls += more.calls;
  to.bytes += more.bytes;
}

void add(Traffic& to, const Traffic& more) {
  add(to.sum, more.sum);
  add(to.gather, more.gather);
  add(to.reduce_scatter, more.reduce_scatter);
  add(to.exchange, more.exchange);
  add(to.point, more.point);
}

void add(Named& all, const std::string& name, Communicator* communicator) {
  if (communicator != nullptr && communicator->size() > 1) add(all[name], communicator->traffic());
}

/// The counters of one rank. `pieces`: what holders are made for.
Named counters(Mesh& mesh, const std::vector<int>& pieces) {
  Named all;
  add(all, "sums", &mesh.sums());
  add(all, "shard", &mesh.shard());
  add(all, "replicas", &mesh.replicas());
  add(all, "tensor", &mesh.along(Axis::tensor));
  add(all, "context", &mesh.along(Axis::context));
  add(all, "pipe", &mesh.along(Axis::pipe));
  for (const int some : pieces) add(all, "holders", &mesh.holders(some));
  const PipeEdges& edges = mesh.edges();
  for (const auto* edge : {&edges.activations_out, &edges.activations_in, &edges.gradients_out, &edges.gradients_in}) {
    add(all, "edges", edge->get());
  }
  add(all, "ends", edges.ends.get());
  return all;
}

Named named(const StepTraffic& step, int zero_stage) {
  Named all = {{"sums", step.sums},       {"shard", step.shard}, {"tensor", step.tensor}, {"holders", step.holders},
               {"context", step.context}, {"pipe", step.pipe},   {"edges", step.edges},   {"ends", step.ends}};
  add(all[zero_stage == 0 ? "sums" : "replicas"], step.replicas);
  return all;
}

/// The numbers of pieces that gradients of several holders come in.
std::vector<int> pieces_of(const Transformer& model) {
  std::set<int> pieces;
  for (int i = 0; i < model.blocks(); ++i) {
    for (const Parameter& parameter : model.block(i).parameters()) {
      if (parameter.copies == Copies::add && parameter.pieces < model.axes().tensor) pieces.insert(parameter.pieces);
    }
  }
  return {pieces.begin(), pieces.end()};
}

/// By stage, what the first rank of it counts in a step, the second and third of three.
std::map<int, Named> counted(const ModelConfig& config, const MeshCase& c, std::int64_t microbatches) {
  std::map<int, Named> once, thrice;
  std::mutex mutex;
  const std::vector<int> pieces = pieces_of(test::cut(config, c.mesh));
  test::run_steps(config, c, 3, microbatches, [&](int steps_done, Mesh& mesh, const Memory&) {
    Named now = counters(mesh, pieces);
    if (mesh.sums().rank() != 0 || mesh.along(Axis::tensor).rank() != 0) return;
    const std::lock_guard lock(mutex);
    if (steps_done == 1) once[mesh.along(Axis::pipe).rank()] = now;
    if (steps_done == 3) thrice[mesh.along(Axis::pipe).rank()] = now;
  });
  const auto half = [](Traffic::Count& to, const Traffic::Count& before) {
    to.calls = (to.calls - before.calls) / 2;
    to.bytes = (to.bytes - before.bytes) / 2;
  };
  for (auto& [stage, counters] : thrice) {
    for (auto& [name, traffic] : counters) {
      const Traffic& before = once[stage][name];
      half(traffic.sum, before.sum);
      half(traffic.gather, before.gather);
      half(traffic.reduce_scatter, before.reduce_scatter);
      half(traffic.exchange, before.exchange);
      half(traffic.point, before.point);
    }
  }
  return thrice;
}

void expect_same(const Traffic& counted, const Traffic& planned) {
  const auto same = [](const char* what, const Traffic::Count& a, const Traffic::Count& b) {
    EXPECT_EQ(a.calls, b.calls) << what << ", calls";
    EXPECT_EQ(a.bytes, b.bytes) << what << ", bytes";
  };
  same("sum", counted.sum, planned.sum);
  same("gather", counted.gather, planned.gather);
  same("reduce_scatter", counted.reduce_scatter, planned.reduce_scatter);
  same("exchange", counted.exchange, planned.exchange);
  same("point", counted.point, planned.point);
}

void expect_planned(const std::string& name, const ModelConfig& config, const MeshCase& c) {
  const std::int64_t places = c.rounds * c.mesh.data;
  const std::int64_t microbatches = c.mesh.data > 1 ? places - 1 : places;  // the last rank's last round is idle
  const Transformer model = test::cut(config, c.mesh);
  const PlannedModel planned(model, c.placed().capacity, c.dtype);
  const PlannedLayout layout = layout_of(model, c.mesh, c.placed(), c.rounds);
  for (auto& [stage, counters] : counted(config, c, microbatches)) {
    Named plan = named(step_traffic(planned, layout, stage, microbatches), c.zero_stage);
    for (const auto& [who, traffic] : counters) plan.try_emplace(who);
    for (const auto& [who, traffic] : plan) {
      SCOPED_TRACE(fmt::format("{}: {}, stage {}, {}", name, c.text(), stage, who));
      expect_same(counters[who], traffic);
    }
  }
}

TEST(PlannedTraffic, IsWhatEveryMeshCounts) {
  std::size_t number = 0;
  for (const auto& [name, config] : test::small_models()) {
    for (MeshCase c : mesh_cases()) {
      ++number;
      if (name != "llama" && number % 3 != 0) continue;  // the others take turns with a third of them
      c.evaluates = false;
      expect_planned(name, config, c);
    }
  }
}

TEST(PlannedTraffic, IsWhatADataAxisCounts) {
  for (const auto& [name, config] : test::small_models()) {
    for (int stage = 0; stage <= 3; ++stage) {
      expect_planned(name, config, {.mesh = {.data = 3}, .zero_stage = stage, .dtype = Dtype::bf16});
    }
  }
}

ModelConfig even() {
  ModelConfig config;
  config.width = 256;
  config.hidden = 512;
  config.layers = 4;
  config.heads = config.key_value_heads = 8;
  config.head_width = 32;
  config.vocabulary = 1024;
  return config;
}

StepTraffic of_eight(const Transformer& model, Dtype compute, int zero_stage, int shard = 0) {
  const PlannedModel planned(model, 64, compute);
  const PlannedLayout layout =
      layout_of(model, {.data = 8, .shard = shard}, {.compute = compute, .zero_stage = zero_stage, .capacity = 64}, 1);
  return step_traffic(planned, layout, 0, 8);
}

/// Traffic of ZeRO in elements of a model whose blocks need no padding: 2 P for data parallel and ZeRO 1 and 2, 3 P for
/// ZeRO 3, of which the head is gathered once (Rajbhandari et al. 2020).
TEST(PlannedTraffic, IsTwoOrThreeTimesTheParameters) {
  const Transformer model(even());
  const auto parameters = static_cast<double>(model.config().parameters());
  for (int zero_stage = 0; zero_stage <= 3; ++zero_stage) {
    const StepTraffic step = of_eight(model, Dtype::f32, zero_stage);
    const double elements =
        static_cast<double>(step.sums.reduce_scatter.bytes + step.shard.gather.bytes + step.replicas.gather.bytes) /
        sizeof(float) * 8 / 7;
    const double head = 1024 * 256;
    const double known = zero_stage == 3 ? 3 * parameters - head : 2 * parameters;
    // Each block's intervals are whole chunks: less than one chunk a rank, each time.
    const double padding = 3.0 * model.blocks() * norm_chunk * 8;
    EXPECT_GE(elements, known) << zero_stage;
    EXPECT_LT(elements, known + padding) << zero_stage;
  }
}

TEST(PlannedTraffic, ReplicasShareTheirSums) {
  const Transformer model(even());
  const StepTraffic all = of_eight(model, Dtype::bf16, 3);
  const StepTraffic halves = of_eight(model, Dtype::bf16, 3, 2);
  EXPECT_EQ(all.replicas.gather.calls, 0U);
  EXPECT_EQ(halves.shard.gather.calls, 4 * all.shard.gather.calls) << "one gather for each interval that a rank keeps";
  EXPECT_EQ(halves.shard.gather.bytes * 7, all.shard.gather.bytes * 4) << "half of it lies here already";
  EXPECT_GT(halves.replicas.gather.bytes, 0U);
  EXPECT_EQ(halves.sums.reduce_scatter.bytes, all.sums.reduce_scatter.bytes);
}

}  // namespace
}  // namespace hearth
