#include "trainer/plan_blocks.h"

#include <algorithm>

#include "model/batch.h"
#include "model/statistics.h"

namespace hearth {

namespace {

int block_of(const Transformer& model, BlockKind kind) {
  switch (kind) {
    case BlockKind::embedding:
      return 0;
    case BlockKind::attention:
      return model.attention_of(0);
    case BlockKind::mlp:
      return model.attention_of(0) + 1;
    case BlockKind::final_norm:
      return model.blocks() - 2;
    case BlockKind::head:
      break;
  }
  return model.blocks() - 1;
}

/// A gather, or a reduce_scatter, of `bytes_of_all` over `ranks` ranks.
void count(Traffic::Count& counter, std::size_t bytes_of_all, int ranks) {
  if (ranks == 1) return;
  ++counter.calls;
  counter.bytes += bytes_of_all / static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks - 1);
}

}  // namespace

PlannedModel::PlannedModel(const Transformer& model, std::int64_t tokens, Dtype compute)
    : model_(model), compute_(compute) {
  const std::int64_t multiple = token_multiple(model.axes());
  capacity_ = (tokens + multiple - 1) / multiple * multiple;
  const BatchShape shape = {this->tokens(), this->tokens()};
  for (const BlockKind kind : block_kinds) {
    PlannedBlock& block = kinds_[static_cast<std::size_t>(kind)];
    const Block& known = model.block(block_of(model, kind));
    block.parameters = known.parameters();
    block.kept = known.kept_sizes(shape, compute);
    block.scratch = known.scratch_bytes(shape, compute);
    add_put_off(kind, block);
    add_traffic(kind, block);
  }
}

std::size_t PlannedModel::row_bytes() const {
  return static_cast<std::size_t>(rows() * config().width) * size_of(compute_);
}

std::int64_t PlannedModel::key_value_heads() const {
  return std::max<std::int64_t>(1, config().key_value_heads / axes().tensor);
}

BlockKind PlannedModel::kind_of(int block) const {
  if (block == 0) return BlockKind::embedding;
  if (block == blocks() - 1) return BlockKind::head;
  if (block == blocks() - 2) return BlockKind::final_norm;
  return block == model_.attention_of(model_.layer_of(block)) ? BlockKind::attention : BlockKind::mlp;
}

/// Copies of both factors of each product, one of an input that several products have; sums of gains and biases.
void PlannedModel::add_put_off(BlockKind kind, PlannedBlock& block) const {
  const auto rows_of = [&](std::int64_t columns) {
    block.put_off.push_back(static_cast<std::size_t>(tokens() * columns) * size_of(compute_));
  };
  const std::int64_t D = config().width;
  const std::int64_t nH = query_heads() * config().head_width;
  const std::int64_t kH = key_value_heads() * config().head_width;
  if (kind == BlockKind::embedding) {
    block.put_off.push_back(static_cast<std::size_t>(tokens()) * sizeof(std::int32_t));
    rows_of(D);
  }
  if (kind == BlockKind::attention) {
    for (const std::int64_t columns : {nH, D, D, nH, kH, kH}) rows_of(columns);  // y, dy; n, dq, dk, dv
  }
  if (kind == BlockKind::mlp) {
    for (const std::int64_t columns : {hidden(), D, D, hidden(), hidden()}) rows_of(columns);  // h, dy; n, dgate, dup
  }
  if (kind == BlockKind::head) return;  // which is not put off
  for (const Parameter& parameter : block.parameters) {
    if (parameter.full.count > 1) continue;
    block.put_off.push_back(static_cast<std::size_t>(piece_dims(parameter).elements()) *
                            size_of(statistics_of(compute_)));
  }
}

void PlannedModel::add_traffic(BlockKind kind, PlannedBlock& block) const {
  const int t = axes().tensor;
  const std::size_t all = static_cast<std::size_t>(tokens() * config().width) * size_of(compute_);
  const auto gather = [&](Traffic& traffic) { count(traffic.gather, all, t); };
  const auto sum = [&](Traffic& traffic) { count(traffic.reduce_scatter, all, t); };
  if (kind == BlockKind::embedding) {
    sum(block.tensor_forward);
    gather(block.tensor_backward);
  }
  if (kind == BlockKind::attention || kind == BlockKind::mlp) {
    gather(block.tensor_forward);  // the normed rows
    sum(block.tensor_forward);
    gather(block.tensor_backward);  // dy
    gather(block.tensor_backward);  // the normed rows again
    sum(block.tensor_backward);
  }
  const Dtype wide = statistics_of(compute_);
  if (kind == BlockKind::head) {  // and statistics for each chunk of rows
    gather(block.tensor_backward);
    sum(block.tensor_backward);
    for (std::int64_t row = 0; row < tokens(); row += Head::chunk) {
      const std::int64_t rows = std::min(Head::chunk, tokens() - row);
      count(block.tensor_backward.gather, static_cast<std::size_t>(t * rows * head_statistics_columns) * size_of(wide),
            t);
    }
  }
  if (kind != BlockKind::attention || axes().context == 1) return;
  // Keys and values go to all others; in backward once more, and their gradients with them and home.
  const auto keys = static_cast<std::size_t>(2 * tokens() * key_value_heads() * config().head_width);
  const auto ranks = static_cast<std::uint64_t>(axes().context);
  block.context_forward.exchange = {ranks - 1, (ranks - 1) * keys * size_of(compute_)};
  block.context_backward.exchange = {2 * ranks - 1,
                                     (ranks - 1) * keys * size_of(compute_) + ranks * keys * size_of(wide)};
}

}  // namespace hearth
