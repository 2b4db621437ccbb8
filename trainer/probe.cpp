#include "trainer/probe.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "trainer/step.h"

namespace hearth {

void collect(const Groups& groups, Mesh& mesh, const std::function<Tensor(const FlatGroup::Piece&)>& part,
             const std::function<void(const Parameter&, std::span<const float>)>& take) {
  Communicator& data = mesh.along(Axis::data);
  std::vector<float> whole;
  for (const FlatGroup* group : groups.all()) {
    for (std::size_t p = 0; p < group->parameters().size(); ++p) {
      const Parameter& parameter = group->parameters()[p];
      whole.assign(static_cast<std::size_t>(parameter.full.elements()), 0.0F);
      for (const FlatGroup::Piece& piece : group->owned()) {
        if (static_cast<std::size_t>(piece.parameter) != p) continue;
        const auto values = part(piece).span<float>();
        std::copy(values.begin(), values.end(), whole.begin() + piece.offset);
      }
      // Every element has one owner and is zero elsewhere, so the sum is the element.
      data.sum(Tensor(whole.data(), Dtype::f32, {parameter.full.elements()})).wait();
      if (data.rank() == 0) take(parameter, whole);
    }
  }
}

namespace {

/// The logits of all rows on the first rank.
std::vector<std::vector<float>> logits_of(Stage& stage, Mesh& mesh, const Rows& rows) {
  Communicator& data = mesh.along(Axis::data);
  const std::int64_t vocabulary = stage.model().config().vocabulary;
  std::vector<std::vector<float>> all;
  for (std::int64_t row = 0; row < rows.count(); ++row) {
    std::vector<float> logits(static_cast<std::size_t>(rows.tokens(row) * vocabulary), 0.0F);
    if (row % data.size() == data.rank()) {
      stage.logits(documents_of(rows, std::array{row}, 0), [&](std::int64_t first, In some) {
        const auto values = some.span<float>();
        std::copy(values.begin(), values.end(), logits.begin() + first * vocabulary);
      });
    } else {
      stage.no_logits();
    }
    data.sum(Tensor(logits.data(), Dtype::f32, {static_cast<std::int64_t>(logits.size())})).wait();
    if (data.rank() == 0) all.push_back(std::move(logits));
  }
  return all;
}

}  // namespace

Probed probe(Stage& stage, Groups& groups, Mesh& mesh, Memory& memory, const Rows& rows, const ProbeOptions& options) {
  Communicator& data = mesh.along(Axis::data);
  Probed result;
  result.logits = logits_of(stage, mesh, rows);
  std::int64_t trained = 0;
  for (std::int64_t row = 0; row < rows.count(); ++row) trained += rows.trained(row);
  const float weight = trained == 0 ? 0.0F : static_cast<float>(1.0 / static_cast<double>(trained));
  const Buffer buffer(memory, static_cast<std::size_t>(stage.capacity()) * sizeof(float));
  std::vector<double> sums(static_cast<std::size_t>(rows.count()), 0.0);
  for (std::int64_t first = 0; first < rows.count(); first += data.size()) {
    const std::int64_t row = first + data.rank();
    const bool mine = row < rows.count();
    const Documents documents = mine ? documents_of(rows, std::array{row}, weight) : Documents();
    const Tensor losses = buffer.tensor(Dtype::f32, {static_cast<std::int64_t>(documents.tokens.size())});
    if (options.gradients) {
      stage.forward_backward(mine ? &documents : nullptr, losses);
    } else {
      stage.evaluate(mine ? &documents : nullptr, losses);
    }
    for (const float loss : losses.span<float>()) sums[static_cast<std::size_t>(row)] += static_cast<double>(loss);
  }
  data.sum(Tensor(sums.data(), Dtype::f64, {rows.count()})).wait();
  result.loss = trained == 0 ? std::numeric_limits<double>::quiet_NaN()
                             : std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(trained);
  if (!options.gradients) return result;
  groups.finish();
  collect(
      groups, mesh, [](const FlatGroup::Piece& piece) { return piece.gradient; },
      [&](const Parameter& parameter, std::span<const float> values) {
        result.gradients[parameter.name].assign(values.begin(), values.end());
      });
  groups.reset();
  return result;
}

}  // namespace hearth
