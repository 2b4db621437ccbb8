#include "parallel/flat_layout.h"

#include <algorithm>
#include <numeric>

#include "kernels/ops.h"

namespace hearth {

namespace {

std::int64_t rounded_up(std::int64_t count, std::int64_t unit) {
  return (count + unit - 1) / unit * unit;
}

/// Indices of parameters in the order in which they lie.
std::vector<std::size_t> order_of(std::span<const Parameter> parameters) {
  std::vector<std::size_t> order(parameters.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return parameters[a].pieces < parameters[b].pieces; });
  return order;
}

}  // namespace

FlatLayout::FlatLayout(std::span<const Parameter> parameters, int ranks_, int shards_)
    : places(parameters.size()), ranks(ranks_), shards(shards_ == 0 ? ranks_ : shards_) {
  for (const std::size_t i : order_of(parameters)) {
    const Parameter& parameter = parameters[i];
    const bool alike =
        !holdings.empty() && holdings.back().pieces == parameter.pieces && holdings.back().copies == parameter.copies;
    const bool mixed = !holdings.empty() && holdings.back().pieces != parameter.pieces;
    if (mixed) elements = rounded_up(elements, norm_chunk);
    if (!alike) holdings.push_back({parameter.pieces, parameter.copies, {elements, elements}});
    places[i] = {elements, elements + piece_dims(parameter).elements()};
    elements = places[i].end;
    holdings.back().place.end = elements;
  }
  interval = rounded_up(elements, norm_chunk * ranks) / ranks;
}

std::vector<Interval> FlatLayout::kept_by(int rank) const {
  if (shards == 1) return {whole()};
  std::vector<Interval> kept;
  for (int other = rank % shards; other < ranks; other += shards) kept.push_back(of(other));
  return kept;
}

Residency::Residency(const FlatLayout& layout, const FlatOptions& options) {
  const bool alone = layout.ranks == 1;
  const bool trained = options.accumulators > 0;
  stored = trained ? Dtype::f32 : options.compute;
  whole_state = layout.shards == 1;
  const bool together = whole_state || layout.replicas() == 1;
  whole_weights = options.stage != ZeroStage::weights || (alone && stored == options.compute);
  aliased = whole_weights && stored == options.compute && together;
  direct = alone && options.order == SumOrder::fast;
  early = !direct && (alone || options.stage == ZeroStage::gradients || options.stage == ZeroStage::weights);

  const auto whole = static_cast<std::size_t>(layout.padded());
  const auto own = static_cast<std::size_t>(layout.interval);
  const auto kept = static_cast<std::size_t>(layout.kept());
  resident = 0;
  if (whole_weights) resident += whole * size_of(options.compute);
  if (!aliased) resident += kept * size_of(stored);
  if (trained) {
    const auto accumulators = static_cast<std::size_t>(options.accumulators);
    resident += 2 * kept * sizeof(float);
    resident += (kept + (accumulators - 1) * own) * sizeof(float);
    if (!early && !direct) resident += accumulators * whole * sizeof(float);
  }
  gathered = whole_weights ? 0 : whole * size_of(options.compute);
  gradients = trained && early ? whole * sizeof(float) : 0;
}

}  // namespace hearth
