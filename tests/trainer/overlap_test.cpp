// The real Stage, watched from outside: weights of the next block are on their way before a block computes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "kernels/backend.h"
#include "parallel/thread_world.h"
#include "trainer/model_on_mesh.h"
#include "trainer/recorded.h"
#include "trainer/rows.h"
#include "trainer/step.h"
#include "trainer/weights.h"

namespace hearth {
namespace {

using test::Journal;

constexpr std::int64_t tokens = 9;

ModelConfig tiny(bool tied) {
  ModelConfig config;
  config.vocabulary = 211;
  config.width = 12;
  config.hidden = 40;
  config.layers = 2;
  config.heads = 4;
  config.key_value_heads = 2;
  config.head_width = 4;
  config.tied = tied;
  return config;
}

struct Case {
  bool tied = false;
  int pipe = 1;
  std::int64_t recompute = 0;
  bool idle = false;  // the rank watched has no rows of its own
  bool evaluates = false;
};

PlacedOptions placed(const Case& c) {
  PlacedOptions options;
  options.zero_stage = 3;
  options.recompute = c.recompute;
  options.capacity = tokens;
  return options;
}

/// What the first of two data ranks of a stage does in one microbatch under ZeRO 3.
std::vector<std::string> journal_of(const Case& c, int stage) {
  std::vector<std::string> events;
  std::mutex mutex;
  ThreadWorld(2 * c.pipe).run([&](Communicator& inner) {
    Journal journal;
    test::RecordedCommunicator world(inner, journal);
    const auto backend = make_cpu_backend({});
    test::RecordedOps ops(backend->ops(), journal);
    const Transformer model(tiny(c.tied));
    Mesh mesh(world, MeshShape{.pipe = c.pipe, .data = 2});
    ModelOnMesh on(model, mesh, placed(c), ops, backend->memory());
    fill_fresh(on.groups, 3);
    const ListedRows rows({labelled_row(std::vector<std::int32_t>(static_cast<std::size_t>(tokens), 3), {})});
    const bool watched = mesh.along(Axis::data).rank() == 0;
    const Pipeline::Source source = [&](std::int64_t) -> std::optional<Documents> {
      if (c.idle && watched) return {};
      return documents_of(rows, std::array{std::int64_t{0}}, 0.5F);
    };
    journal.clear();
    if (c.evaluates) {
      on.pipeline.evaluate(1, source, [](std::int64_t, In) {});
    } else {
      on.pipeline.run(1, source, [](std::int64_t, In) {});
    }
    const std::lock_guard lock(mutex);
    if (watched && mesh.along(Axis::pipe).rank() == stage) events = journal.events();
  });
  return events;
}

/// "gather N", where N is what the group of a block has on two ranks.
std::string event(const char* what, const Transformer& model, int block) {
  return fmt::format("{} {}", what, FlatLayout(model.block(block).parameters(), 2).padded());
}

/// Two blocks at a time: the next block is asked for before a block computes, there and back.
std::vector<std::string> expected(const Case& c, int stage) {
  const Transformer model(tiny(c.tied));
  const Interval blocks = virtual_stages(model, c.pipe, 1, tokens)[static_cast<std::size_t>(stage)];
  const auto begin = static_cast<int>(blocks.begin);
  const auto last = static_cast<int>(blocks.end) - 1;
  const bool has_head = blocks.end == model.blocks();
  std::vector<std::string> events = {event("gather", model, begin)};
  const auto block = [&](int next) {
    if (next >= 0) events.push_back(event("gather", model, next));
    if (!c.idle && events.back() != "compute") events.push_back("compute");
  };
  for (int i = begin; i < last; ++i) block(i + 1);
  if (!has_head) block(-1);  // and what comes back meets it anew
  if (c.evaluates) {
    if (has_head) block(-1);
    return events;
  }
  if (!has_head) events.push_back(event("gather", model, last));
  for (int i = last; i >= begin; --i) {
    block(i > begin ? i - 1 : -1);
    events.push_back(event("reduce_scatter", model, i));
  }
  return events;
}

void expect_overlap(const Case& c) {
  for (int stage = 0; stage < c.pipe; ++stage) {
    SCOPED_TRACE(fmt::format("tied {}, recompute {}, stage {} of {}", c.tied, c.recompute, stage, c.pipe));
    EXPECT_THAT(journal_of(c, stage), testing::ElementsAreArray(expected(c, stage)));
  }
}

TEST(Overlap, TheNextBlockIsGatheredBeforeABlockComputes) {
  for (const bool tied : {false, true}) {
    for (const std::int64_t recompute : {0, 1, 2}) expect_overlap({.tied = tied, .recompute = recompute});
  }
}

TEST(Overlap, OnEveryStageOfAPipeline) {
  expect_overlap({.pipe = 2});
  expect_overlap({.tied = true, .pipe = 2, .recompute = 1});
}

TEST(Overlap, InEvaluationToo) {
  expect_overlap({.evaluates = true});
  expect_overlap({.pipe = 2, .evaluates = true});
}

/// A rank without rows asks for the same in the same order.
TEST(Overlap, ARankWithoutRowsDoesTheSameWithoutComputing) {
  for (const bool evaluates : {false, true}) expect_overlap({.idle = true, .evaluates = evaluates});
}

}  // namespace
}  // namespace hearth
