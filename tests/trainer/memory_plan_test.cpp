// The plan of a rank's memory is the peak of its allocator, byte for byte, on every mesh.
#include "trainer/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "trainer/mesh_cases.h"

namespace hearth {
namespace {

using test::cut;
using test::mesh_cases;
using test::MeshCase;
using test::small_llama;
using test::small_models;

/// What is planned for a rank of `stage`.
MemoryPlan planned(const ModelConfig& config, const MeshCase& c, int stage) {
  const Transformer model = cut(config, c.mesh);
  const auto backend = make_cpu_backend({.threads = c.threads});
  const PlannedModel on_axes(model, c.placed().capacity, c.dtype);
  const MemoryPlan plan = plan_memory(on_axes, layout_of(model, c.mesh, c.placed(), c.rounds), stage, *backend);
  EXPECT_EQ(backend->memory().takes(), 0U) << "a plan takes nothing";
  return plan;
}

struct Peak {
  int stage = 0;
  std::size_t bytes = 0;
};

/// After two steps on every rank.
std::vector<Peak> run(const ModelConfig& config, const MeshCase& c) {
  std::vector<Peak> peaks;
  std::mutex mutex;
  test::run_steps(config, c, 2, c.rounds * c.mesh.data, [&](int steps_done, Mesh& mesh, const Memory& memory) {
    if (steps_done < 2) return;
    const std::lock_guard lock(mutex);
    peaks.push_back({mesh.along(Axis::pipe).rank(), memory.peak()});
  });
  return peaks;
}

void expect_planned(const std::string& name, const ModelConfig& config, const MeshCase& c) {
  SCOPED_TRACE(name + ": " + c.text());
  for (const Peak& peak : run(config, c)) {
    const MemoryPlan plan = planned(config, c, peak.stage);
    EXPECT_EQ(peak.bytes, plan.total()) << "stage " << peak.stage << "\n" << memory_table(plan);
  }
}

std::vector<MeshCase> cases_of_data() {
  std::vector<MeshCase> all;
  int number = 0;
  for (const int ranks : {1, 2, 3}) {
    for (int stage = 0; stage <= 3; ++stage) {
      for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        for (const std::int64_t recompute : {0, 1, 2}) {
          MeshCase c = {{.data = ranks}, stage, dtype, recompute, ranks == 1 ? 1 + number % 2 : 1, number % 3 == 0};
          all.push_back(c);
          ++number;
        }
      }
    }
  }
  return all;
}

TEST(MemoryPlan, IsThePeakOfEveryDataRank) {
  std::size_t number = 0;
  for (const auto& [name, config] : small_models()) {
    const std::size_t every = name == "llama" ? 1 : 4;  // the others take turns with a quarter of the cases
    for (const MeshCase& c : cases_of_data()) {
      if (++number % every == 0) expect_planned(name, config, c);
    }
  }
}

TEST(MemoryPlan, IsThePeakOfEveryMesh) {
  std::size_t number = 0;
  for (const auto& [name, config] : small_models()) {
    for (const MeshCase& c : mesh_cases()) {
      ++number;
      if (name != "llama" && number % 3 != 0) continue;  // the others take turns with a third of them
      expect_planned(name, config, c);
    }
  }
}

/// Every row is at work somewhere, by more than the tolerance that is promised: left out, it would be missed.
TEST(MemoryPlan, NoRowIsIdle) {
  std::map<std::string_view, double> most;
  for (const auto& [name, config] : small_models()) {
    for (const MeshCase& c : cases_of_data()) {
      const MemoryPlan plan = planned(config, c, 0);
      for (const MemoryPlan::Row& row : plan.rows()) {
        most[row.name] = std::max(most[row.name], static_cast<double>(row.bytes) / static_cast<double>(plan.total()));
      }
    }
  }
  for (const auto& [name, share] : most) EXPECT_GT(share, 0) << name;
  for (const char* name : {"weights", "master weights", "moments", "gradients", "gathered blocks", "inputs of blocks",
                           "kept for backward", "recomputed blocks", "logits", "scratch", "workspace of ops"}) {
    EXPECT_GT(most[name], 0.03) << name;
  }
}

/// Peaks of a higher stage are no larger, for models whose blocks are small against the whole.
TEST(MemoryPlan, AHigherStageNeedsNoMore) {
  ModelConfig config = small_llama();
  config.layers = 12;
  config.vocabulary = 97;
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const int ranks : {2, 4, 8}) {
      std::size_t last = 0;
      for (int stage = 0; stage <= 3; ++stage) {
        const std::size_t total = planned(config, {{.data = ranks}, stage, dtype}, 0).total();
        if (stage > 0) {
          EXPECT_LE(total, last) << ranks << " ranks, ZeRO " << stage << ", " << name_of(dtype);
        }
        last = total;
      }
    }
  }
}

TEST(MemoryPlan, TheTableNamesWhatIsThereAndTheSum) {
  const std::string table = memory_table(planned(small_llama(), {{.data = 2}, 2, Dtype::bf16}, 0));
  for (const char* part : {"weights", "master weights", "moments", "together"}) {
    EXPECT_NE(table.find(part), std::string::npos) << table;
  }
  EXPECT_EQ(table.find("gathered"), std::string::npos) << "ZeRO 2 gathers no blocks\n" << table;
}

}  // namespace
}  // namespace hearth
