// An evaluation that is asked to end: all ranks together, and without a trace.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "mesh/mesh_run.h"
#include "parallel/thread_world.h"
#include "trainer/evaluate.h"
#include "trainer/probe.h"

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

/// Rows that the head takes in several chunks: logits of every place are those that the loss is made of, and every place
/// counts in an answer.
TEST(Evaluation, RowsOfSeveralChunksAreWholeEverywhere) {
  for (const MeshShape& mesh : std::vector<MeshShape>{
           {}, {.context = 2}, {.tensor = 2}, {.pipe = 2}, {.data = 2}, {.context = 2, .tensor = 2}}) {
    ThreadWorld(mesh.ranks()).run([&](Communicator& world) {
      MeshModel m(MeshRun{.mesh = mesh, .rows = "long"}, world);
      const std::int64_t vocabulary = m.config.vocabulary;
      double sum = 0;
      std::int64_t places = 0;
      std::vector<Row> right, wrong;
      for (std::int64_t row = 0; row < m.rows.count(); ++row) {
        std::vector<float> logits = logits_of(m.on.pipeline, m.rows, row);  // the first rank's
        logits.resize(static_cast<std::size_t>(m.rows.tokens(row) * vocabulary));
        world.sum(Tensor(logits.data(), Dtype::f32, {m.rows.tokens(row), vocabulary})).wait();  // the others have zeros
        const Row known = m.rows.row(row);
        std::vector<std::int32_t> likeliest = known.tokens;
        for (std::size_t t = 0; t + 1 < known.tokens.size(); ++t) {
          const float* of = logits.data() + static_cast<std::int64_t>(t) * vocabulary;
          const float most = *std::max_element(of, of + vocabulary);
          double mass = 0;
          for (std::int64_t v = 0; v < vocabulary; ++v) mass += std::exp(static_cast<double>(of[v] - most));
          sum += std::log(mass) + static_cast<double>(most - of[known.tokens[t + 1]]);
          likeliest[t + 1] = static_cast<std::int32_t>(std::max_element(of, of + vocabulary) - of);
          ++places;
        }
        right.push_back(labelled_row(known.tokens, likeliest));
        std::int32_t& late = likeliest[known.tokens.size() - 40];
        late = (late + 1) % static_cast<std::int32_t>(vocabulary);
        wrong.push_back(labelled_row(known.tokens, likeliest));
      }
      const double loss = mean_loss(m.on.pipeline, m.rows);
      EXPECT_NEAR(sum / static_cast<double>(places), loss, 1e-5 * loss) << mesh.text();
      EXPECT_EQ(exact_matches(m.on.pipeline, ListedRows(std::move(right))), std::vector<bool>({true, true}))
          << mesh.text();
      EXPECT_EQ(exact_matches(m.on.pipeline, ListedRows(std::move(wrong))), std::vector<bool>({false, false}))
          << mesh.text();
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
