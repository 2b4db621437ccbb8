// An evaluation that is asked to end: all ranks together, and without a trace.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "mesh/mesh_run.h"
#include "parallel/thread_world.h"
#include "trainer/evaluate.h"

namespace hearth {
namespace {

using test::MeshModel;
using test::MeshRun;

/// The last rank alone is asked, at its `at`-th answer. Every rank ends there, or none does.
TEST(Evaluation, EndsOnAllRanksTogether) {
  for (const MeshShape& mesh :
       std::vector<MeshShape>{{}, {.data = 3}, {.pipe = 2}, {.context = 2, .tensor = 2}, {.pipe = 2, .data = 2}}) {
    ThreadWorld(mesh.ranks()).run([&](Communicator& world) {
      MeshModel m(MeshRun{.mesh = mesh}, world);
      const double loss = mean_loss(m.on.pipeline, m.rows);
      const std::vector<bool> matches = exact_matches(m.on.pipeline, m.rows);
      const std::int64_t rounds = (m.rows.count() + mesh.data - 1) / mesh.data;
      const std::int64_t every = mesh.pipe == 1 ? 1 : 9;
      for (std::int64_t at = 0; at < 3; ++at) {
        std::int64_t asked = 0;
        const Asked ask = [&] { return asked++ == at && world.rank() == world.size() - 1; };
        const bool ends = at * every < rounds;
        EXPECT_EQ(mean_loss(m.on.pipeline, m.rows, ask).has_value(), !ends) << mesh.text();
        EXPECT_EQ(asked, ends ? at + 1 : (rounds + every - 1) / every) << mesh.text();
      }
      const Asked at_once = [&] { return world.rank() == 0; };
      EXPECT_FALSE(exact_matches(m.on.pipeline, m.rows, at_once)) << mesh.text();
      const Asked never = [] { return false; };
      EXPECT_EQ(mean_loss(m.on.pipeline, m.rows, never), loss) << mesh.text();
      EXPECT_EQ(exact_matches(m.on.pipeline, m.rows, never), matches) << mesh.text();
    });
  }
}

/// Of logits that are no numbers no token is the likeliest: nothing is counted as right, or as wrong.
TEST(Evaluation, CountsNoAnswersOfNaN) {
  for (const MeshShape& mesh : std::vector<MeshShape>{{}, {.data = 2}, {.pipe = 2}, {.context = 2, .tensor = 2}}) {
    ThreadWorld(mesh.ranks()).run([&](Communicator& world) {
      MeshModel m(MeshRun{.mesh = mesh}, world);
      const FlatGroup::Source nothing = [](const Parameter&, const Stretch& where, float* out) {
        std::fill_n(out, where.elements(), std::numeric_limits<float>::quiet_NaN());
      };
      for (int i = 0; i < m.on.groups.count(); ++i) m.on.groups.group(i).fill(FlatGroup::Part::weight, nothing);
      try {
        exact_matches(m.on.pipeline, m.rows);
        ADD_FAILURE() << mesh.text();
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), Kind::numeric) << error.what();
      }
    });
  }
}

}  // namespace
}  // namespace hearth
