#include "model/batch.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "model/statistics.h"

namespace hearth {

std::int64_t token_multiple(const AxisSizes& axes) {
  return std::int64_t{axes.tensor} * (axes.context > 1 ? 2 * axes.context : 1);
}

void pad_to(Documents& documents, std::int64_t multiple) {
  const auto tokens = static_cast<std::int64_t>(documents.tokens.size());
  const std::int64_t missing = (multiple - tokens % multiple) % multiple;
  if (missing == 0) return;
  const auto padded = static_cast<std::size_t>(tokens + missing);
  documents.starts.push_back(static_cast<std::int32_t>(tokens));
  documents.tokens.resize(padded, 0);
  documents.targets.resize(padded, -1);
  documents.weights.resize(padded, 0);
  documents.example.resize(padded, -1);
}

std::vector<Interval> context_rows(std::int64_t total, int rank, int size) {
  if (size == 1) return {{0, total}};
  if (total % (2 * size) != 0) {
    fail(Kind::internal, "internal error: {} tokens are not cut into 2 x {} equal chunks (please report this)", total,
         size);
  }
  const std::int64_t chunk = total / (2 * size);
  const std::int64_t late = 2 * size - 1 - rank;
  return {{rank * chunk, (rank + 1) * chunk}, {late * chunk, (late + 1) * chunk}};
}

namespace {

/// The elements of `all` that lie in `rows`.
template <class T>
std::vector<T> chosen(const std::vector<T>& all, std::span<const Interval> rows) {
  std::vector<T> some;
  for (const Interval& stretch : rows) some.insert(some.end(), all.begin() + stretch.begin, all.begin() + stretch.end);
  return some;
}

/// How many of `rows` come before row `row` of the microbatch.
std::int32_t rows_before(std::span<const Interval> rows, std::int64_t row) {
  std::int64_t count = 0;
  for (const Interval& stretch : rows) count += intersect(stretch, {0, row}).count();
  return static_cast<std::int32_t>(count);
}

}  // namespace

BatchMaker::BatchMaker(const Rotary& rotary, std::int64_t capacity, Dtype compute, Ops& ops, Memory& memory,
                       ContextPlace place)
    : rotary_(rotary), capacity_(capacity), table_(statistics_of(compute)), ops_(ops), place_(place) {
  const auto half = rotary.inverse_frequency.size();
  const auto rows = static_cast<std::size_t>(capacity);
  frequencies_ = Buffer(memory, half * sizeof(float));
  std::memcpy(frequencies_.data(), rotary.inverse_frequency.data(), half * sizeof(float));
  for (Buffer* buffer : {&tokens_, &targets_, &weights_, &positions_, &example_}) {
    *buffer = Buffer(memory, rows * sizeof(std::int32_t));
  }
  ranges_ = Buffer(memory, 2 * static_cast<std::size_t>(place.size) * rows * sizeof(std::int32_t));
  cosine_ = Buffer(memory, rows * half * size_of(table_));
  sine_ = Buffer(memory, rows * half * size_of(table_));
}

Tensor BatchMaker::put(const Buffer& buffer, std::span<const std::int32_t> values) const {
  const Tensor tensor = buffer.tensor(Dtype::i32, {static_cast<std::int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.span<std::int32_t>().begin());
  return tensor;
}

KeyRange BatchMaker::put_range(int rank, std::span<const std::int32_t> first,
                               std::span<const std::int32_t> last) const {
  const Tensor all = ranges_.tensor(Dtype::i32, {2 * place_.size, capacity_});
  KeyRange range;
  bool visible = false;
  for (std::size_t t = 0; t < first.size(); ++t) visible = visible || first[t] < last[t];
  range.visible = visible;
  for (const bool is_last : {false, true}) {
    const std::span<const std::int32_t> values = is_last ? last : first;
    Tensor& rows = is_last ? range.last : range.first;
    rows = Tensor(all.row<std::int32_t>(2 * rank + (is_last ? 1 : 0)), Dtype::i32,
                  {static_cast<std::int64_t>(values.size())});
    std::copy(values.begin(), values.end(), rows.span<std::int32_t>().begin());
  }
  return range;
}

/// Rows [first, last) of a microbatch of `total` tokens, as far as context rank `rank` has them and in its own count.
/// Its rows are in ascending order, so what is left of a stretch of rows lies together.
KeyRange BatchMaker::keys_of(int rank, std::span<const std::int32_t> first, std::span<const std::int32_t> last,
                             std::int64_t total) const {
  const std::vector<Interval> rows = context_rows(total, rank, place_.size);
  std::vector<std::int32_t> from(first.size());
  std::vector<std::int32_t> to(last.size());
  for (std::size_t t = 0; t < first.size(); ++t) {
    from[t] = rows_before(rows, first[t]);
    to[t] = rows_before(rows, last[t]);
  }
  return put_range(rank, from, to);
}

void BatchMaker::rotary_table(Batch& batch) {
  const auto half = static_cast<std::int64_t>(rotary_.inverse_frequency.size());
  batch.cosine = cosine_.tensor(table_, {batch.positions.rows(), half});
  batch.sine = sine_.tensor(table_, {batch.positions.rows(), half});
  ops_.rotary_table(batch.positions, frequencies_.tensor(Dtype::f32, {half}), rotary_.attention_factor, batch.cosine,
                    batch.sine);
}

Batch BatchMaker::make(const Documents& documents) {
  const auto total = static_cast<std::int64_t>(documents.tokens.size());
  const std::int64_t rows = total / place_.size;
  require(rows > 0 && rows <= capacity_, "a microbatch fits the memory planned for it");
  std::vector<std::int32_t> first(documents.tokens.size());
  std::vector<std::int32_t> positions(documents.tokens.size());
  std::vector<std::int32_t> last(documents.tokens.size());
  std::iota(last.begin(), last.end(), 1);
  const auto window = static_cast<std::int32_t>(place_.size == 1 ? 0 : place_.window);
  for (std::size_t d = 0; d < documents.starts.size(); ++d) {
    const auto begin = static_cast<std::size_t>(documents.starts[d]);
    const auto end =
        d + 1 < documents.starts.size() ? static_cast<std::size_t>(documents.starts[d + 1]) : documents.tokens.size();
    for (std::size_t t = begin; t < end; ++t) {
      first[t] = static_cast<std::int32_t>(begin);
      if (window > 0) first[t] = std::max(first[t], last[t] - window);
      positions[t] = static_cast<std::int32_t>(t - begin);
    }
  }
  const std::vector<Interval> mine = context_rows(total, place_.rank, place_.size);
  Batch batch;
  batch.tokens = put(tokens_, chosen(documents.tokens, mine));
  batch.targets = put(targets_, chosen(documents.targets, mine));
  batch.example = put(example_, chosen(documents.example, mine));
  batch.positions = put(positions_, chosen(positions, mine));
  batch.weights = weights_.tensor(Dtype::f32, {rows});
  const std::vector<float> weights = chosen(documents.weights, mine);
  std::copy(weights.begin(), weights.end(), batch.weights.span<float>().begin());
  batch.window = window;
  const std::vector<std::int32_t> own_first = chosen(first, mine);
  const std::vector<std::int32_t> own_last = chosen(last, mine);
  for (int rank = 0; rank < place_.size; ++rank) batch.keys.push_back(keys_of(rank, own_first, own_last, total));
  rotary_table(batch);
  return batch;
}

Batch BatchMaker::make_continuation(std::span<const std::int32_t> tokens, std::int64_t length) {
  const auto rows = static_cast<std::int64_t>(tokens.size());
  require(rows > 0 && rows <= capacity_, "a continuation fits the memory planned for it");
  require(place_.size == 1, "one sequence is continued by one context rank");
  const std::vector<std::int32_t> zeros(tokens.size(), 0);
  std::vector<std::int32_t> row(tokens.size(), 0);
  Batch batch;
  batch.tokens = put(tokens_, tokens);
  batch.example = put(example_, zeros);
  std::iota(row.begin(), row.end(), static_cast<std::int32_t>(length));
  batch.positions = put(positions_, row);
  std::iota(row.begin(), row.end(), static_cast<std::int32_t>(length) + 1);
  batch.keys = {put_range(0, zeros, row)};
  std::fill(row.begin(), row.end(), -1);
  batch.targets = put(targets_, row);
  batch.weights = weights_.tensor(Dtype::f32, {rows});
  std::fill_n(batch.weights.span<float>().begin(), rows, 0.0F);
  rotary_table(batch);
  return batch;
}

}  // namespace hearth
