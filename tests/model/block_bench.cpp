#include "model/block_bench.h"

#include <cmath>
#include <cstring>

#include "model/statistics.h"

namespace hearth::test {

Documents documents(const std::vector<std::int32_t>& lengths, std::int64_t vocabulary, std::uint64_t seed) {
  Documents all;
  const Key key = Key(seed).with("documents");
  for (std::size_t d = 0; d < lengths.size(); ++d) {
    all.starts.push_back(static_cast<std::int32_t>(all.tokens.size()));
    for (std::int32_t i = 0; i < lengths[d]; ++i) {
      const auto index = all.tokens.size();
      all.tokens.push_back(static_cast<std::int32_t>(key.below(static_cast<std::uint64_t>(vocabulary), index)));
      all.example.push_back(static_cast<std::int32_t>(d));
      all.targets.push_back(-1);
      all.weights.push_back(0);
      if (i == 0) continue;
      all.targets[index - 1] = index % 5 == 3 ? -1 : all.tokens[index];
      all.weights[index - 1] = all.targets[index - 1] < 0 ? 0 : 0.125F * static_cast<float>(1 + index % 3);
    }
  }
  return all;
}

Rotary rotary(std::int64_t head_width) {
  Rotary r;
  for (std::int64_t j = 0; j < head_width / 2; ++j) {
    r.inverse_frequency.push_back(
        static_cast<float>(std::pow(100.0, -2.0 * static_cast<double>(j) / static_cast<double>(head_width))));
  }
  r.attention_factor = 1.1;
  return r;
}

BlockBench::BlockBench(const Block& block, Backend& backend, Dtype dtype, const Documents& docs,
                       std::int64_t head_width)
    : backend_(backend),
      dtype_(dtype),
      scratch_(backend.memory()),
      kept_(backend.memory()),
      alone_(make_self_communicator()),
      maker_(rotary(head_width), static_cast<std::int64_t>(docs.tokens.size()), dtype, backend.ops(), backend.memory()),
      batch_(maker_.make(docs)) {
  std::uint64_t stream = 100;
  for (const Parameter& parameter : block.parameters()) {
    const double spread = parameter.full.count == 1 ? 0.5 : 1 / std::sqrt(static_cast<double>(parameter.full[1]));
    weights_.push_back(noise(parameter.full, stream++, spread));
    gradients_.push_back(tensor(statistics_of(dtype), parameter.full));
  }
}

Tensor BlockBench::tensor(Dtype dtype, Dims dims) {
  buffers_.emplace_back(backend_.memory(), static_cast<std::size_t>(dims.elements()) * size_of(dtype));
  std::memset(buffers_.back().data(), 0, buffers_.back().bytes());
  return buffers_.back().tensor(dtype, dims);
}

Tensor BlockBench::noise(Dims dims, std::uint64_t stream, double spread) {
  const Tensor plain = tensor(Dtype::f32, dims);
  const Key key = Key(stream).with("noise");
  std::uint64_t index = 0;
  for (float& value : plain.span<float>()) value = static_cast<float>(spread * key.normal(index++));
  const Tensor result = tensor(dtype_, dims);
  backend_.ops().cast(plain, result);
  return result;
}

Pass BlockBench::pass(GradientSink& sink) {
  return {backend_.ops(), sink, weights_, scratch_, *alone_, *alone_, *alone_, Key(), batch_, nullptr};
}

}  // namespace hearth::test
