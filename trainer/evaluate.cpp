#include "trainer/evaluate.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "trainer/step.h"

namespace hearth {

double mean_loss(Stage& stage, Mesh& mesh, Memory& memory, const Rows& rows) {
  Communicator& data = mesh.along(Axis::data);
  const Buffer buffer(memory, static_cast<std::size_t>(stage.capacity()) * sizeof(float));
  std::vector<double> sums(static_cast<std::size_t>(rows.count()), 0.0);
  std::int64_t targets = 0;
  for (std::int64_t first = 0; first < rows.count(); first += data.size()) {
    const std::int64_t row = first + data.rank();
    if (row >= rows.count()) {
      stage.evaluate(nullptr, Tensor());
      continue;
    }
    const Documents documents = documents_of(rows, std::array{row}, 0);
    const Tensor losses = buffer.tensor(Dtype::f32, {static_cast<std::int64_t>(documents.tokens.size())});
    stage.evaluate(&documents, losses);
    for (const float loss : losses.span<float>()) sums[static_cast<std::size_t>(row)] += static_cast<double>(loss);
  }
  for (std::int64_t row = 0; row < rows.count(); ++row) targets += rows.trained(row);
  require(targets > 0, "a mean loss is over at least one target");
  data.sum(Tensor(sums.data(), Dtype::f64, {rows.count()})).wait();  // every other rank holds zero in my places
  return std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(targets);
}

namespace {

/// Rows [first, last) whose tokens fit `capacity` together; at least one.
std::vector<std::vector<std::int64_t>> fitting(const Rows& rows, std::int64_t capacity) {
  std::vector<std::vector<std::int64_t>> groups;
  std::int64_t room = 0;
  for (std::int64_t row = 0; row < rows.count(); ++row) {
    if (groups.empty() || rows.tokens(row) > room) {
      groups.emplace_back();
      room = capacity;
    }
    groups.back().push_back(row);
    room -= rows.tokens(row);
  }
  return groups;
}

}  // namespace

std::vector<bool> exact_matches(Stage& stage, Mesh& mesh, const Rows& rows) {
  Communicator& data = mesh.along(Axis::data);
  std::vector<std::int64_t> wrong(static_cast<std::size_t>(rows.count()), 0);  // places that miss, by row
  const auto groups = fitting(rows, stage.capacity());
  for (std::size_t first = 0; first < groups.size(); first += static_cast<std::size_t>(data.size())) {
    const std::size_t mine = first + static_cast<std::size_t>(data.rank());
    if (mine >= groups.size()) {
      stage.no_logits();
      continue;
    }
    const Documents documents = documents_of(rows, groups[mine], 0);
    stage.logits(documents, [&](std::int64_t at, In logits) {
      for (std::int64_t t = 0; t < logits.rows(); ++t) {
        const auto place = static_cast<std::size_t>(at + t);
        if (documents.targets[place] < 0) continue;
        const float* row = logits.row<float>(t);
        const auto likeliest = std::max_element(row, row + logits.row_elements()) - row;
        if (likeliest == documents.targets[place]) continue;
        ++wrong[static_cast<std::size_t>(groups[mine][static_cast<std::size_t>(documents.example[place])])];
      }
    });
  }
  data.sum(Tensor(wrong.data(), Dtype::i64, {rows.count()})).wait();
  std::vector<bool> matches;
  for (const std::int64_t places : wrong) matches.push_back(places == 0);
  return matches;
}

}  // namespace hearth
