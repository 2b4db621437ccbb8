#include "model/batch.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "model/statistics.h"

namespace hearth {

BatchMaker::BatchMaker(const Rotary& rotary, std::int64_t capacity, Dtype compute, Ops& ops, Memory& memory)
    : rotary_(rotary), capacity_(capacity), table_(statistics_of(compute)), ops_(ops) {
  const auto half = rotary.inverse_frequency.size();
  const auto rows = static_cast<std::size_t>(capacity);
  frequencies_ = Buffer(memory, half * sizeof(float));
  std::memcpy(frequencies_.data(), rotary.inverse_frequency.data(), half * sizeof(float));
  for (Buffer* buffer : {&tokens_, &targets_, &weights_, &positions_, &first_, &last_, &example_}) {
    *buffer = Buffer(memory, rows * sizeof(std::int32_t));
  }
  cosine_ = Buffer(memory, rows * half * size_of(table_));
  sine_ = Buffer(memory, rows * half * size_of(table_));
}

Tensor BatchMaker::put(const Buffer& buffer, std::span<const std::int32_t> values) const {
  const Tensor tensor = buffer.tensor(Dtype::i32, {static_cast<std::int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.span<std::int32_t>().begin());
  return tensor;
}

void BatchMaker::rotary_table(Batch& batch) {
  const auto half = static_cast<std::int64_t>(rotary_.inverse_frequency.size());
  batch.cosine = cosine_.tensor(table_, {batch.positions.rows(), half});
  batch.sine = sine_.tensor(table_, {batch.positions.rows(), half});
  ops_.rotary_table(batch.positions, frequencies_.tensor(Dtype::f32, {half}), rotary_.attention_factor, batch.cosine,
                    batch.sine);
}

Batch BatchMaker::make(const Documents& documents) {
  const auto rows = static_cast<std::int64_t>(documents.tokens.size());
  require(rows > 0 && rows <= capacity_, "a microbatch fits the memory planned for it");
  std::vector<std::int32_t> first(documents.tokens.size());
  std::vector<std::int32_t> positions(documents.tokens.size());
  std::vector<std::int32_t> last(documents.tokens.size());
  std::iota(last.begin(), last.end(), 1);
  for (std::size_t d = 0; d < documents.starts.size(); ++d) {
    const auto begin = static_cast<std::size_t>(documents.starts[d]);
    const auto end =
        d + 1 < documents.starts.size() ? static_cast<std::size_t>(documents.starts[d + 1]) : documents.tokens.size();
    for (std::size_t t = begin; t < end; ++t) {
      first[t] = static_cast<std::int32_t>(begin);
      positions[t] = static_cast<std::int32_t>(t - begin);
    }
  }
  Batch batch;
  batch.tokens = put(tokens_, documents.tokens);
  batch.targets = put(targets_, documents.targets);
  batch.example = put(example_, documents.example);
  batch.positions = put(positions_, positions);
  batch.first = put(first_, first);
  batch.last = put(last_, last);
  batch.weights = weights_.tensor(Dtype::f32, {rows});
  std::copy(documents.weights.begin(), documents.weights.end(), batch.weights.span<float>().begin());
  rotary_table(batch);
  return batch;
}

Batch BatchMaker::make_continuation(std::span<const std::int32_t> tokens, std::int64_t length) {
  const auto rows = static_cast<std::int64_t>(tokens.size());
  require(rows > 0 && rows <= capacity_, "a continuation fits the memory planned for it");
  std::vector<std::int32_t> row(tokens.size(), 0);
  Batch batch;
  batch.tokens = put(tokens_, tokens);
  batch.first = put(first_, row);
  batch.example = put(example_, row);
  std::iota(row.begin(), row.end(), static_cast<std::int32_t>(length));
  batch.positions = put(positions_, row);
  std::iota(row.begin(), row.end(), static_cast<std::int32_t>(length) + 1);
  batch.last = put(last_, row);
  std::fill(row.begin(), row.end(), -1);
  batch.targets = put(targets_, row);
  batch.weights = weights_.tensor(Dtype::f32, {rows});
  std::fill_n(batch.weights.span<float>().begin(), rows, 0.0F);
  rotary_table(batch);
  return batch;
}

}  // namespace hearth
