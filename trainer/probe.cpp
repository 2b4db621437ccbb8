#include "trainer/probe.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "trainer/evaluate.h"
#include "trainer/step.h"

namespace hearth {

namespace {

/// The elements of a part that this rank is the one to count, into their places of the whole parameter.
void put(const FlatGroup& group, const FlatGroup::Piece& piece, In part, std::span<float> whole) {
  const float* values = part.typed<float>();
  for (const HeldStretch& held : group.stretches(piece)) {
    for (std::int64_t row = 0; row < held.full.rows; ++row) {
      const float* from = values + (held.at - piece.offset) + row * held.pitch;
      std::copy_n(from, held.full.columns, whole.begin() + held.full.begin + row * held.full.stride);
    }
  }
}

}  // namespace

void collect(const Transformer& model, const Groups& groups, Mesh& mesh,
             const std::function<Tensor(const FlatGroup::Piece&)>& part,
             const std::function<void(const Parameter&, std::span<const float>)>& take) {
  std::vector<float> whole;
  for (const Parameter& parameter : model.parameters()) {
    whole.assign(static_cast<std::size_t>(parameter.full.elements()), 0.0F);
    for (const FlatGroup* group : groups.all()) {
      for (const FlatGroup::Piece& piece : group->owned()) {
        if (!group->counted(piece.parameter)) continue;
        if (group->parameters()[static_cast<std::size_t>(piece.parameter)].name != parameter.name) continue;
        put(*group, piece, part(piece), whole);
      }
    }
    // Every element has one owner and is zero elsewhere, so the sum is the element.
    mesh.world().sum(Tensor(whole.data(), Dtype::f32, {parameter.full.elements()})).wait();
    if (mesh.world().rank() == 0) take(parameter, whole);
  }
}

std::vector<float> logits_of(Pipeline& pipeline, const Rows& rows, std::int64_t row) {
  Mesh& mesh = pipeline.mesh();
  Communicator& data = mesh.along(Axis::data);
  const std::int64_t vocabulary = pipeline.stage().model().config().vocabulary;
  const bool speaks = mesh.along(Axis::tensor).rank() == 0;  // the others have the same
  const bool mine = row % data.size() == data.rank();
  const std::vector<std::int64_t> places = pipeline.places_of(rows.tokens(row));
  std::vector<float> logits(static_cast<std::size_t>(rows.tokens(row) * vocabulary), 0.0F);
  pipeline.logits(
      1,
      [&](std::int64_t) -> std::optional<Documents> {
        if (!mine) return std::nullopt;
        return documents_of(rows, std::array{row}, 0);
      },
      [&](std::int64_t, std::int64_t first, In some) {
        for (std::int64_t t = 0; speaks && t < some.rows(); ++t) {
          const std::int64_t place = places[static_cast<std::size_t>(first + t)];
          if (place < rows.tokens(row))
            std::copy_n(some.row<float>(t), vocabulary, logits.begin() + place * vocabulary);
        }
      });
  mesh.world().sum(Tensor(logits.data(), Dtype::f32, {static_cast<std::int64_t>(logits.size())})).wait();
  return mesh.world().rank() == 0 ? std::move(logits) : std::vector<float>();
}

namespace {

/// Mean loss over all rows, and with `backward` the gradients of it on their owners, but for finish().
std::optional<double> loss_of(Pipeline& pipeline, const Rows& rows, bool backward) {
  Communicator& data = pipeline.mesh().along(Axis::data);
  const std::int64_t trained = targets_of(rows);
  if (trained == 0) return std::nullopt;
  const auto weight = static_cast<float>(1.0 / static_cast<double>(trained));
  std::vector<double> sums(static_cast<std::size_t>(rows.count()), 0.0);
  const auto row_of = [&](std::int64_t m) { return m * data.size() + data.rank(); };
  const Pipeline::Source source = [&](std::int64_t m) -> std::optional<Documents> {
    if (row_of(m) >= rows.count()) return std::nullopt;
    return documents_of(rows, std::array{row_of(m)}, weight);
  };
  const Pipeline::Take take = [&](std::int64_t m, In losses) {
    for (const float loss : losses.span<float>())
      sums[static_cast<std::size_t>(row_of(m))] += static_cast<double>(loss);
  };
  const std::int64_t rounds = (rows.count() + data.size() - 1) / data.size();
  if (backward) {
    pipeline.run(rounds, source, take);
  } else {
    pipeline.evaluate(rounds, source, take);
  }
  add_up(pipeline.mesh(), Tensor(sums.data(), Dtype::f64, {rows.count()}));
  return std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(trained);
}

}  // namespace

Probed probe(Pipeline& pipeline, Groups& groups, const Rows& rows, const ProbeOptions& options) {
  require(!options.gradients || targets_of(rows) > 0, "gradients are those of a loss over at least one target");
  Probed result;
  for (std::int64_t row = 0; row < rows.count(); ++row) {
    std::vector<float> logits = logits_of(pipeline, rows, row);
    if (pipeline.mesh().world().rank() == 0) result.logits.push_back(std::move(logits));
  }
  result.loss = loss_of(pipeline, rows, options.gradients);
  if (!options.gradients) return result;
  groups.finish();
  collect(
      pipeline.stage().model(), groups, pipeline.mesh(), [](const FlatGroup::Piece& piece) { return piece.gradient; },
      [&](const Parameter& parameter, std::span<const float> values) {
        result.gradients[parameter.name].assign(values.begin(), values.end());
      });
  groups.reset();
  return result;
}

}  // namespace hearth
