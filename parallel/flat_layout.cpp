#include "parallel/flat_layout.h"

#include "kernels/ops.h"

namespace hearth {

FlatLayout::FlatLayout(std::span<const Parameter> parameters, int ranks_) : ranks(ranks_) {
  for (const Parameter& parameter : parameters) {
    places.push_back({elements, elements + parameter.full.elements()});
    elements = places.back().end;
  }
  const std::int64_t unit = norm_chunk * ranks;
  interval = (elements + unit - 1) / unit * norm_chunk;
}

Residency::Residency(const FlatLayout& layout, const FlatOptions& options) {
  const bool alone = layout.ranks == 1;
  const bool trained = options.accumulators > 0;
  stored = trained ? Dtype::f32 : options.compute;
  whole_weights = options.stage != ZeroStage::weights || (alone && stored == options.compute);
  aliased = whole_weights && stored == options.compute;
  whole_state = alone || options.stage == ZeroStage::replicated;
  early = alone || options.stage == ZeroStage::gradients || options.stage == ZeroStage::weights;

  const auto whole = static_cast<std::size_t>(layout.padded());
  const auto own = static_cast<std::size_t>(layout.interval);
  const std::size_t held = whole_state ? whole : own;
  resident = 0;
  if (whole_weights) resident += whole * size_of(options.compute);
  if (!aliased) resident += held * size_of(stored);
  if (trained) {
    const auto accumulators = static_cast<std::size_t>(options.accumulators);
    resident += 2 * held * sizeof(float);
    resident += (held + (accumulators - 1) * own) * sizeof(float);
    if (!early) resident += accumulators * whole * sizeof(float);
  }
  gathered = whole_weights ? 0 : whole * size_of(options.compute);
  gradients = trained && early ? whole * sizeof(float) : 0;
}

}  // namespace hearth
