#include "trainer/plan_traffic.h"

#include "parallel/checked_communicator.h"
#include "trainer/memory_parts.h"
#include "trainer/stage.h"

namespace hearth {

namespace {

void add(Traffic::Count& to, const Traffic::Count& more, std::uint64_t times = 1) {
  to.calls += times * more.calls;
  to.bytes += times * more.bytes;
}

void add(Traffic& to, const Traffic& more, std::uint64_t times) {
  add(to.sum, more.sum, times);
  add(to.gather, more.gather, times);
  add(to.reduce_scatter, more.reduce_scatter, times);
  add(to.exchange, more.exchange, times);
  add(to.point, more.point, times);
}

/// A gather or a reduce_scatter in which every rank has `mine` bytes.
Traffic::Count parts(std::size_t mine, int ranks) {
  if (ranks == 1) return {};
  return {1, mine * static_cast<std::size_t>(ranks - 1)};
}

/// A sum of `count` elements of `element` bytes, at the first rank.
Traffic::Count sum_of(std::int64_t count, std::size_t element, int ranks) {
  if (ranks == 1) return {};
  const std::size_t bytes = static_cast<std::size_t>(count) * element;
  const auto others = static_cast<std::size_t>(ranks - 1);
  if (bytes <= small_sum_bytes) return {1, bytes * others};
  const std::size_t own = static_cast<std::size_t>(even_interval(count, 0, ranks).count()) * element;
  return {1, bytes - own + own * others};
}

/// How often a step asks for the weights of a group in a microbatch: there and back, which is one time for the head.
std::uint64_t uses_of(const PlannedModel& model, const PlannedGroup& group) {
  if (group.block == model.blocks() - 1) return 1;
  return group.options.accumulators == 2 ? 3 : 2;
}

void add_weights(const PlannedModel& model, const PlannedGroup& group, std::uint64_t rounds, StepTraffic& traffic) {
  const FlatLayout& flat = group.layout;
  const std::size_t own = static_cast<std::size_t>(flat.interval) * size_of(model.compute());
  const std::uint64_t times = group.residency.whole_weights ? 1 : rounds * uses_of(model, group);
  add(traffic.shard.gather, parts(own, flat.shards), static_cast<std::uint64_t>(flat.replicas()) * times);
}

void add_gradients(const PlannedLayout& layout, const PlannedGroup& group, std::uint64_t rounds, StepTraffic& traffic) {
  const FlatLayout& flat = group.layout;
  const std::size_t own = static_cast<std::size_t>(flat.interval) * sizeof(float);
  const std::uint64_t times = layout.sums_once() ? 1 : rounds;
  add(traffic.sums.reduce_scatter, parts(own, flat.ranks),
      times * static_cast<std::uint64_t>(group.options.accumulators));
  add(traffic.replicas.gather, parts(own, flat.replicas()));
  for (const Holding& holding : flat.holdings) {
    const std::int64_t mine = intersect(holding.place, flat.of(0)).count();
    if (holding.copies == Copies::add && mine > 0) {
      add(traffic.holders.sum, sum_of(mine, sizeof(float), layout.mesh.tensor / holding.pieces));
    }
  }
}

/// Rows between blocks, keys and values, and rows between stages, of one microbatch.
void add_rows(const PlannedModel& model, const PlannedLayout& layout, int stage, std::uint64_t rounds,
              StepTraffic& traffic) {
  const StageOptions recomputation = {.recompute = layout.recompute};
  for (const Interval& chunk : layout.chunks_of(stage)) {
    for (auto b = static_cast<int>(chunk.begin); b < chunk.end; ++b) {
      const PlannedBlock& block = model.block(b);
      const std::uint64_t forwards = rounds * (is_recomputed(model.model(), recomputation, b) ? 2 : 1);
      add(traffic.tensor, block.tensor_forward, forwards);
      add(traffic.tensor, block.tensor_backward, rounds);
      add(traffic.context, block.context_forward, forwards);
      add(traffic.context, block.context_backward, rounds);
    }
    if (layout.mesh.pipe == 1) continue;
    const int ends = (chunk.begin > 0 ? 1 : 0) + (chunk.end < model.blocks() ? 1 : 0);
    const Traffic::Count there_and_back = {2, model.row_bytes()};  // a receive sends nothing
    add(traffic.edges.point, there_and_back, rounds * static_cast<std::uint64_t>(ends));
  }
}

}  // namespace

std::vector<StepTraffic::Row> StepTraffic::rows() const {
  return {{"sums", "data x context: gradients, norm", &sums},
          {"shards", "shards: weights", &shard},
          {"replicas", "replicas: gradients", &replicas},
          {"tensor", "tensor: rows, norm", &tensor},
          {"tensor_held_in_common", "tensor: gradients held in common", &holders},
          {"context", "context: keys, values", &context},
          {"pipe_rows", "pipe: rows", &edges},
          {"pipe", "pipe: norm, losses", &pipe},
          {"pipe_ends", "ends of the pipe: tied gradients", &ends}};
}

Traffic::Count all_of(const Traffic& traffic) {
  Traffic::Count all;
  for (const auto& some : {traffic.sum, traffic.gather, traffic.reduce_scatter, traffic.exchange, traffic.point}) {
    add(all, some);
  }
  return all;
}

StepTraffic step_traffic(const PlannedModel& model, const PlannedLayout& layout, int stage, std::int64_t microbatches) {
  StepTraffic traffic;
  const MeshShape& mesh = layout.mesh;
  const auto rounds = static_cast<std::uint64_t>(layout.rounds_of_schedule());  // idle ones gather and sum too
  const int last = model.blocks() - 1;
  std::int64_t chunks = 0;
  for (const PlannedGroup& group : groups_of(model, layout, stage)) {
    add_weights(model, group, rounds, traffic);
    add_gradients(layout, group, rounds, traffic);
    if (model.model().tied() && mesh.pipe > 1 && (group.block == 0 || group.block == last)) {
      add(traffic.ends.sum, sum_of(group.layout.interval, sizeof(float), 2));
    }
    chunks += group.layout.interval / norm_chunk;
  }
  add(traffic.sums.gather, parts(static_cast<std::size_t>(chunks) * sizeof(double), layout.sums()));
  add(traffic.sums.sum, sum_of(microbatches, sizeof(double), layout.sums()));
  add(traffic.tensor.sum, sum_of(model.blocks(), sizeof(double), mesh.tensor));
  add(traffic.pipe.sum, sum_of(model.blocks(), sizeof(double), mesh.pipe));
  add(traffic.pipe.sum, sum_of(microbatches, sizeof(double), mesh.pipe));
  add_rows(model, layout, stage, static_cast<std::uint64_t>(layout.rounds), traffic);
  return traffic;
}

}  // namespace hearth
