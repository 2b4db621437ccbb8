// What each axis sends in a step, by the counters of its communicators: the formulas of docs/parallelism.md.
#include <gtest/gtest.h>

#include "mesh/mesh_run.h"
#include "parallel/thread_world.h"

namespace hearth {
namespace {

using test::MeshModel;
using test::MeshRun;
using Count = Traffic::Count;

constexpr std::uint64_t microbatches = 4;  // rows of nine tokens, one each

/// What the first rank counted on one communicator in one step.
Traffic step_traffic(const MeshRun& run, const std::function<Communicator&(Mesh&)>& which) {
  Traffic spent;
  ThreadWorld(run.mesh.ranks()).run([&](Communicator& world) {
    MeshModel m(run, world);
    Stepper stepper(m.on.pipeline, m.on.groups, m.backend->ops(), m.backend->memory(), m.rows, step_options(run));
    const Traffic before = which(m.mesh).traffic();
    stepper.step(0, rows_of_step(run, 0), 1e-3);
    if (world.rank() > 0) return;
    spent = which(m.mesh).traffic();
    const auto less = [](Count& count, const Count& by) {
      count.calls -= by.calls;
      count.bytes -= by.bytes;
    };
    less(spent.sum, before.sum);
    less(spent.gather, before.gather);
    less(spent.reduce_scatter, before.reduce_scatter);
    less(spent.exchange, before.exchange);
    less(spent.point, before.point);
  });
  return spent;
}

MeshRun run_on(const MeshShape& mesh, Dtype dtype) {
  return {.family = "llama", .mesh = mesh, .dtype = dtype, .microbatch_rows = 1, .rows_a_step = 4, .rows = "uneven"};
}

std::uint64_t padded(std::uint64_t multiple) {
  return (9 + multiple - 1) / multiple * multiple;
}

TEST(Traffic, OfTheTensorAxis) {
  const ModelConfig config = test::config_of("llama");
  const auto layers = static_cast<std::uint64_t>(config.layers);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const std::uint64_t t : {2U, 4U}) {
      for (const std::uint64_t recomputed : {std::uint64_t{0}, layers}) {
        MeshRun run = run_on({.tensor = static_cast<int>(t)}, dtype);
        run.recompute = recomputed > 0 ? 1 : 0;
        const Traffic spent = step_traffic(run, [](Mesh& mesh) -> Communicator& { return mesh.along(Axis::tensor); });
        const std::uint64_t rows = padded(t);
        const std::uint64_t call =
            size_of(dtype) * rows * static_cast<std::uint64_t>(config.width) * (t - 1) / t;  // bytes
        const std::uint64_t gathers = 6 * layers + 2 * recomputed + 2;
        const std::uint64_t scatters = 4 * layers + 2 * recomputed + 2;
        EXPECT_EQ(spent.gather.calls, microbatches * (gathers + 1));  // and the head's statistics
        EXPECT_EQ(spent.gather.bytes, microbatches * (gathers * call + 16 * rows * (t - 1)));
        EXPECT_EQ(spent.reduce_scatter.calls, microbatches * scatters);
        EXPECT_EQ(spent.reduce_scatter.bytes, microbatches * scatters * call);
        EXPECT_EQ(spent.sum.calls, 1U);  // of the norm's parts
        EXPECT_EQ(spent.exchange.calls, 0U);
      }
    }
  }
}

TEST(Traffic, OfTheContextAxis) {
  const ModelConfig config = test::config_of("llama");
  const auto layers = static_cast<std::uint64_t>(config.layers);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const std::uint64_t c : {2U, 3U, 4U}) {
      const MeshRun run = run_on({.context = static_cast<int>(c)}, dtype);
      const Traffic spent = step_traffic(run, [](Mesh& mesh) -> Communicator& { return mesh.along(Axis::context); });
      const std::uint64_t elements =
          2 * padded(2 * c) / c * static_cast<std::uint64_t>(config.key_value_heads * config.head_width);
      EXPECT_EQ(spent.exchange.calls, microbatches * layers * (3 * c - 2));
      EXPECT_EQ(spent.exchange.bytes,
                microbatches * layers * (2 * (c - 1) * size_of(dtype) * elements + c * 4 * elements));
      EXPECT_EQ(spent.gather.calls + spent.reduce_scatter.calls, 0U);
    }
  }
}

TEST(Traffic, OfThePipe) {
  const ModelConfig config = test::config_of("llama");
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const int chunks : {1, 2}) {
      for (const int tensor : {1, 2}) {
        MeshRun run = run_on({.pipe = 2, .tensor = tensor}, dtype);
        run.chunks = chunks;
        if (chunks > 1) run.schedule = PipelineSchedule::interleaved;
        const std::uint64_t message = size_of(dtype) * padded(static_cast<std::uint64_t>(tensor)) *
                                      static_cast<std::uint64_t>(config.width) / static_cast<std::uint64_t>(tensor);
        const auto v = static_cast<std::uint64_t>(chunks);
        // The first stage sends the rows of each of its chunks, and gradients of all of them but the first.
        const Traffic rows = step_traffic(run, [](Mesh& mesh) -> Communicator& {
          return *(mesh.edges().activations_out ? mesh.edges().activations_out : mesh.edges().activations_in);
        });
        EXPECT_EQ(rows.point.bytes, microbatches * v * message);
        const Traffic back = step_traffic(run, [](Mesh& mesh) -> Communicator& { return *mesh.edges().gradients_out; });
        EXPECT_EQ(back.point.bytes, microbatches * (v - 1) * message);
      }
    }
  }
}

}  // namespace
}  // namespace hearth
