#include "trainer/recipe_mesh.h"

#include <algorithm>
#include <vector>

#include "base/counted.h"
#include "model/transformer.h"

namespace hearth {

namespace {

/// "4 or 8": the nearest sizes below and above `wish` that `works` says yes to, up to `most`.
template <class Works>
std::string nearest(int wish, int most, const Works& works) {
  int below = wish - 1;
  while (below >= 1 && !works(below)) --below;
  int above = wish + 1;
  while (above <= most && !works(above)) ++above;
  if (below < 1) return fmt::format("{}", above);
  if (above > most) return fmt::format("{}", below);
  return fmt::format("{} or {}", below, above);
}

}  // namespace

PipelineSchedule schedule_kind(const Recipe& recipe) {
  return schedule_kind(recipe, static_cast<int>(recipe.parallel.pipeline_parallel_size));
}

PipelineSchedule schedule_kind(const Recipe& recipe, int stages) {
  if (stages == 1) return PipelineSchedule::one_f_one_b;
  switch (recipe.parallel.pipeline_schedule) {
    case Recipe::PipelineSchedule::one_forward_one_backward:
      return PipelineSchedule::one_f_one_b;
    case Recipe::PipelineSchedule::interleaved:
      return PipelineSchedule::interleaved;
    case Recipe::PipelineSchedule::zero_bubble:
      break;
  }
  return PipelineSchedule::zero_bubble;
}

int chunks_of(const Recipe& recipe) {
  return chunks_of(recipe, static_cast<int>(recipe.parallel.pipeline_parallel_size));
}

int chunks_of(const Recipe& recipe, int stages) {
  if (stages == 1) return 1;
  const bool interleaved = recipe.parallel.pipeline_schedule == Recipe::PipelineSchedule::interleaved;
  return static_cast<int>(recipe.parallel.pipeline_chunks.value_or(interleaved ? 2 : 1));
}

int zero_stage(const Recipe& recipe, int ranks) {
  return recipe.parallel.zero_stage.value_or(ranks > 1 ? 3 : 0);
}

void check_shards(const MeshShape& shape, std::int64_t shard) {
  const int sums = shape.data * shape.context;
  if (shard <= sums && sums % shard == 0) return;
  const auto wish = static_cast<int>(std::min<std::int64_t>(shard, sums + 1));
  fail_everywhere(Kind::usage, "data_shard_size: {}: it must divide data x context, which is {} x {} here; {} does",
                  shard, shape.data, shape.context, nearest(wish, sums, [&](int size) { return sums % size == 0; }));
}

MeshShape mesh_shape(const Recipe& recipe, int ranks) {
  const Recipe::Parallel& p = recipe.parallel;
  const std::int64_t others = p.tensor_parallel_size * p.pipeline_parallel_size * p.context_parallel_size;
  if (others > ranks || ranks % others != 0) {
    const std::int64_t below = ranks / others * others;
    fail_everywhere(
        Kind::usage,
        "tensor_parallel_size {} x pipeline_parallel_size {} x context_parallel_size {} is {}, which does not divide "
        "{} rank(s): start {}{} ranks, or change the sizes",
        p.tensor_parallel_size, p.pipeline_parallel_size, p.context_parallel_size, others, ranks,
        below > 0 ? fmt::format("{} or ", below) : "", below + others);
  }
  MeshShape shape;
  shape.pipe = static_cast<int>(p.pipeline_parallel_size);
  shape.data = static_cast<int>(ranks / others);
  shape.context = static_cast<int>(p.context_parallel_size);
  shape.tensor = static_cast<int>(p.tensor_parallel_size);
  if (p.data_shard_size) check_shards(shape, *p.data_shard_size);
  shape.shard = static_cast<int>(p.data_shard_size.value_or(0));
  return shape;
}

void check_model(const ModelConfig& config, const MeshShape& shape, int chunks) {
  const auto heads = static_cast<int>(config.heads);
  const auto keys = static_cast<int>(config.key_value_heads);
  const auto works = [&](int size) { return heads % size == 0 && (keys % size == 0 || size % keys == 0); };
  if (!works(shape.tensor)) {
    fail_everywhere(
        Kind::usage,
        "tensor_parallel_size: {}: this model has {} heads and {} key-value heads; heads must divide, and key-value "
        "heads must divide or each be held by equally many ranks: use {}",
        shape.tensor, heads, keys, nearest(shape.tensor, heads, works));
  }
  const auto blocks = static_cast<int>(2 * config.layers + 3);
  if (shape.pipe * chunks > blocks) {
    std::string fewer;
    if (blocks >= chunks) fewer = counted(blocks / chunks, "stage");
    if (chunks > 1 && blocks >= shape.pipe) {
      fewer += (fewer.empty() ? "" : ", or ") + counted(blocks / shape.pipe, "chunk");
    }
    fail_everywhere(
        Kind::usage,
        "pipeline_parallel_size: {}{}: this model has {} blocks to share out (two a layer, embedding, final norm and "
        "head): use at most {}",
        shape.pipe, chunks > 1 ? fmt::format(" with {} chunks each", chunks) : "", blocks, fewer);
  }
}

MeshShape mesh_shape(const Recipe& recipe, const ModelConfig& config, int ranks) {
  const MeshShape shape = mesh_shape(recipe, ranks);
  check_model(config, shape, chunks_of(recipe));
  return shape;
}

void check_chunks(const Recipe& recipe) {
  const auto stages = static_cast<int>(recipe.parallel.pipeline_parallel_size);
  const std::string why = refusal(schedule_kind(recipe), stages, chunks_of(recipe));
  if (!why.empty()) fail_everywhere(Kind::usage, "{}", why);
}

void check_schedule(const Recipe& recipe, const MeshShape& shape, std::int64_t microbatches) {
  check_chunks(recipe);
  const auto rounds = static_cast<int>((microbatches + shape.data - 1) / shape.data);
  const std::string why = refusal(schedule_kind(recipe), shape.pipe, chunks_of(recipe), rounds);
  if (why.empty()) return;
  if (shape.data == 1) fail_everywhere(Kind::usage, "{}", why);
  fail_everywhere(Kind::usage, "{} (on each of {} data ranks, of {} together)", why, shape.data, microbatches);
}

}  // namespace hearth
