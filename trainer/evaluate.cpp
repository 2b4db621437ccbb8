#include "trainer/evaluate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "trainer/step.h"

namespace hearth {

void add_up(Mesh& mesh, Out x) {
  mesh.sums().sum(x).wait();
  mesh.along(Axis::pipe).sum(x).wait();
}

namespace {

/// Whether the ranks go on, agreed on by all of them.
Pipeline::GoOn agreed(Pipeline& pipeline, const Asked& asked) {
  if (!asked) return {};
  Communicator& world = pipeline.mesh().world();
  const std::int64_t every = 8 * (pipeline.mesh().along(Axis::pipe).size() - 1) + 1;
  return [&world, every, &asked](std::int64_t microbatch) {
    if (microbatch % every != 0) return true;
    std::int64_t stops = asked() ? 1 : 0;
    world.sum(Tensor(&stops, Dtype::i64, {1})).wait();
    return stops == 0;
  };
}

}  // namespace

std::optional<double> mean_loss(Pipeline& pipeline, const Rows& rows, const Asked& asked) {
  const std::int64_t targets = targets_of(rows);
  require(targets > 0, "a mean loss is over at least one target");
  Communicator& data = pipeline.mesh().along(Axis::data);
  std::vector<double> sums(static_cast<std::size_t>(rows.count()), 0.0);
  const auto row_of = [&](std::int64_t m) { return m * data.size() + data.rank(); };
  const bool whole = pipeline.evaluate((rows.count() + data.size() - 1) / data.size(),
                                       [&](std::int64_t m) -> std::optional<Documents> {
                                         if (row_of(m) >= rows.count()) return std::nullopt;
                                         return documents_of(rows, std::array{row_of(m)}, 0);
                                       },
                                       [&](std::int64_t m, In losses) {
                                         double& sum = sums[static_cast<std::size_t>(row_of(m))];
                                         for (const float loss : losses.span<float>()) sum += static_cast<double>(loss);
                                       },
                                       agreed(pipeline, asked));
  if (!whole) return std::nullopt;
  add_up(pipeline.mesh(), Tensor(sums.data(), Dtype::f64, {rows.count()}));
  return std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(targets);
}

double mean_loss(Pipeline& pipeline, const Rows& rows) {
  return *mean_loss(pipeline, rows, {});
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

std::optional<std::vector<bool>> exact_matches(Pipeline& pipeline, const Rows& rows, const Asked& asked) {
  Communicator& data = pipeline.mesh().along(Axis::data);
  const auto count = static_cast<std::size_t>(rows.count());
  std::vector<std::int64_t> found(count + 1, 0);  // places that miss, by row; then those without a likeliest token
  const auto groups = fitting(rows, pipeline.stage().capacity());
  const auto group_of = [&](std::int64_t m) { return static_cast<std::size_t>(m * data.size() + data.rank()); };
  Documents documents;               // of the microbatch under way
  std::vector<std::int64_t> places;  // of this context rank's rows in it
  const bool whole = pipeline.logits(
      (static_cast<std::int64_t>(groups.size()) + data.size() - 1) / data.size(),
      [&](std::int64_t m) -> std::optional<Documents> {
        if (group_of(m) >= groups.size()) return std::nullopt;
        documents = documents_of(rows, groups[group_of(m)], 0);
        places = pipeline.places_of(static_cast<std::int64_t>(documents.tokens.size()));
        return documents;
      },
      [&](std::int64_t m, std::int64_t first, In logits) {
        for (std::int64_t t = 0; t < logits.rows(); ++t) {
          const auto place = static_cast<std::size_t>(places[static_cast<std::size_t>(first + t)]);
          if (place >= documents.targets.size() || documents.targets[place] < 0) continue;
          const float* row = logits.row<float>(t);
          if (std::any_of(row, row + logits.row_elements(), [](float x) { return std::isnan(x); })) ++found[count];
          const auto likeliest = std::max_element(row, row + logits.row_elements()) - row;
          if (likeliest == documents.targets[place]) continue;
          ++found[static_cast<std::size_t>(groups[group_of(m)][static_cast<std::size_t>(documents.example[place])])];
        }
      },
      agreed(pipeline, asked));
  if (!whole) return std::nullopt;
  add_up(pipeline.mesh(), Tensor(found.data(), Dtype::i64, {rows.count() + 1}));
  if (found[count] > 0) {
    fail_everywhere(Kind::numeric,
                    "the logits hold NaN at {} of the answers' tokens: the weights are damaged or diverged",
                    found[count]);
  }
  std::vector<bool> matches;
  for (std::size_t row = 0; row < count; ++row) matches.push_back(found[row] == 0);
  return matches;
}

std::vector<bool> exact_matches(Pipeline& pipeline, const Rows& rows) {
  return *exact_matches(pipeline, rows, {});
}

}  // namespace hearth
