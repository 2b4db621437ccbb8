#include <cmath>
#include <limits>

#include "kernels/cases.h"

namespace hearth::test {

namespace {

using Tensors = std::vector<Tensor>;

// Columns [first, first + columns) of a vocabulary; targets in them, outside them, and none.
void of_size(std::vector<Case>& all, std::int64_t rows, std::int64_t columns, std::int64_t first, bool large) {
  const Dims dims{rows, columns};
  const double size = 8;
  const std::int64_t vocabulary = first + columns + 1;
  const auto count = static_cast<double>(columns);
  const Arg logits = input(dims, noise("logits", dims, size));
  std::vector<double> targets;
  for (std::int64_t t = 0; t < rows; ++t)
    targets.push_back(static_cast<double>((t * 7 + first) % (vocabulary + 1) - 1));
  const auto add = [&](const std::string& op, std::vector<Arg> args, auto call) {
    all.push_back({op, dims.text() + " from " + std::to_string(first), std::move(args), call, large});
  };
  // Exponents are differences of up to 16, rounded to f32; V of them are added.
  add("head_statistics", {logits, integers(targets), over({rows, 4}, 2 * size * count, Arg::Kind::wide)},
      [first](Ops& ops, const Tensors& t) { ops.head_statistics(t[0], t[1], first, t[2]); });
  std::vector<double> statistics;
  for (std::int64_t t = 0; t < rows; ++t) {
    const double largest = 8 + 0.01 * static_cast<double>(t);
    statistics.insert(statistics.end(), {largest, 1 + count / 3, largest - 3, -0.2 * count});
  }
  for (const double smoothing : {0.0, 0.1}) {
    add("head_losses",
        {input({rows, 4}, statistics, Arg::Kind::wide), integers(targets), over({rows}, 2 * size, Arg::Kind::wide)},
        [=](Ops& ops, const Tensors& t) { ops.head_losses(t[0], t[1], smoothing, vocabulary, t[2]); });
    for (const bool in_place : {false, true}) {
      Arg dlogits = over(dims, 2 * size);
      if (in_place) dlogits.over_arg = 0;
      add("head_backward",
          {logits, input({rows, 4}, statistics, Arg::Kind::wide), integers(targets),
           input({rows}, noise("weights", {rows}), Arg::Kind::wide), dlogits},
          [=](Ops& ops, const Tensors& t) {
            ops.head_backward(t[0], t[1], t[2], t[3], first, smoothing, vocabulary, t[4]);
          });
    }
  }
}

// Statistics of pieces of a vocabulary; every third piece has no columns, but never the first.
void folds(std::vector<Case>& all, std::int64_t pieces, std::int64_t rows, bool large) {
  const Dims dims{pieces * rows, 4};
  const double size = 20;
  std::vector<double> statistics = noise("pieces", dims, size);
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    for (std::int64_t t = 0; t < rows; ++t) {
      double* row = statistics.data() + (piece * rows + t) * 4;
      row[1] = 1 + std::abs(row[1]);
      if (piece % 3 != 1) continue;
      row[0] = -std::numeric_limits<double>::infinity();
      row[1] = row[2] = row[3] = 0;
    }
  }
  all.push_back({"head_fold",
                 dims.text() + " of " + std::to_string(pieces),
                 {input(dims, statistics, Arg::Kind::wide),
                  over({rows, 4}, (size + 1) * static_cast<double>(pieces), Arg::Kind::wide)},
                 [](Ops& ops, const Tensors& t) { ops.head_fold(t[0], t[1]); },
                 large});
}

}  // namespace

std::vector<Case> head_cases() {
  std::vector<Case> all;
  of_size(all, 1, 1, 0, false);
  of_size(all, 0, 5, 0, false);
  of_size(all, 7, 3, 0, false);
  of_size(all, 9, 37, 11, false);
  of_size(all, 5, 0, 3, false);
  of_size(all, 40, 1001, 5, true);
  folds(all, 1, 3, false);
  folds(all, 4, 0, false);
  folds(all, 3, 1, false);
  folds(all, 4, 9, false);
  folds(all, 2, 5000, true);
  return all;
}

}  // namespace hearth::test
