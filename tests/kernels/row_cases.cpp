#include <cmath>

#include "base/random.h"
#include "kernels/cases.h"

namespace hearth::test {

namespace {

using Tensors = std::vector<Tensor>;

void norms(std::vector<Case>& all, std::int64_t rows, std::int64_t width, bool large) {
  const Dims dims{rows, width};
  const double wide = static_cast<double>(width);
  const auto add = [&](const std::string& op, std::vector<Arg> args, auto call) {
    all.push_back({op, dims.text(), std::move(args), call, large});
  };
  const Arg x = input(dims, away_from_zero("norm x", dims));
  const Arg gain = input({width}, noise("gain", {width}));
  // |x| >= 1/4, so 1 / rms <= 4; |x| / rms <= sqrt(D).
  std::vector<double> inverses;
  for (std::int64_t t = 0; t < rows; ++t) {
    double squares = 0;
    for (std::int64_t d = 0; d < width; ++d) squares += std::pow(x.values[static_cast<std::size_t>(t * width + d)], 2);
    inverses.push_back(1 / std::sqrt(squares / wide));
  }
  const Arg inverse = input({rows}, inverses, Arg::Kind::wide);
  Arg y = over(dims, std::sqrt(wide));
  add("rms_norm", {x, gain, y, over({rows}, 4, Arg::Kind::wide)},
      [](Ops& ops, const Tensors& t) { ops.rms_norm(t[0], t[1], 1e-5, t[2], t[3]); });
  Arg x_hat = y;
  y.over_arg = 0;
  add("rms_norm", {x, gain, y, over({rows}, 4, Arg::Kind::wide)},
      [](Ops& ops, const Tensors& t) { ops.rms_norm(t[0], t[1], 1e-5, t[2], t[3]); });
  // dx = r (z - x_hat mean(z x_hat)) with r <= 4, |z| <= 1, |x_hat| <= sqrt(D), |mean| <= 1.
  const Arg dy = input(dims, noise("norm dy", dims));
  add("rms_norm_backward", {x, gain, inverse, dy, onto("norm dx", dims, 1 + 4 * (1 + std::sqrt(wide)))},
      [](Ops& ops, const Tensors& t) { ops.rms_norm_backward(t[0], t[1], t[2], t[3], t[4]); });
  add("rms_normalize", {x, inverse, x_hat}, [](Ops& ops, const Tensors& t) { ops.rms_normalize(t[0], t[1], t[2]); });
  x_hat.over_arg = 0;
  add("rms_normalize", {x, inverse, x_hat}, [](Ops& ops, const Tensors& t) { ops.rms_normalize(t[0], t[1], t[2]); });
  add("gain_backward", {x, dy, onto("dgain", {width}, 1 + static_cast<double>(rows), Arg::Kind::wide)},
      [](Ops& ops, const Tensors& t) { ops.gain_backward(t[0], t[1], t[2]); });
}

void embeddings(std::vector<Case>& all, std::int64_t rows, std::int64_t width, std::int64_t table_rows,
                std::int64_t first, bool large) {
  const Dims dims{rows, width};
  const Dims table{table_rows, width};
  std::vector<double> tokens;  // some before the table, some behind it, some twice
  const Key key = Key(3).with("tokens");
  for (std::int64_t t = 0; t < rows; ++t) {
    const auto span = static_cast<std::uint64_t>(table_rows + 4);
    tokens.push_back(static_cast<double>(first - 2) +
                     static_cast<double>(key.below(span, static_cast<std::uint64_t>(t))));
  }
  const std::string shape = dims.text() + " of " + table.text();
  all.push_back({"embedding",
                 shape,
                 {integers(tokens), input(table, noise("table", table)), over(dims, 0)},
                 [first](Ops& ops, const Tensors& t) { ops.embedding(t[0], t[1], first, t[2]); },
                 large});
  all.push_back({"embedding_backward",
                 shape,
                 {integers(tokens), input(dims, noise("embedding dy", dims)),
                  onto("dtable", table, 1 + static_cast<double>(rows), Arg::Kind::wide)},
                 [first](Ops& ops, const Tensors& t) { ops.embedding_backward(t[0], t[1], first, t[2]); },
                 large});
}

void rotations(std::vector<Case>& all, std::int64_t rows, std::int64_t heads, std::int64_t width, bool large) {
  const Dims dims{rows, heads, width};
  const Dims table{rows, width / 2};
  std::vector<double> positions;
  for (std::int64_t t = 0; t < rows; ++t) positions.push_back(static_cast<double>((t * 37) % 4001));
  std::vector<double> frequencies;
  for (std::int64_t h = 0; h < width / 2; ++h) {
    frequencies.push_back(std::pow(10000.0, -2 * static_cast<double>(h) / static_cast<double>(width)));
  }
  // The angle, up to 4000, is rounded to f32.
  all.push_back({"rotary_table",
                 table.text(),
                 {integers(positions), input({width / 2}, frequencies, Arg::Kind::single),
                  over(table, 1.2 * 4001, Arg::Kind::wide), over(table, 1.2 * 4001, Arg::Kind::wide)},
                 [](Ops& ops, const Tensors& t) { ops.rotary_table(t[0], t[1], 1.2, t[2], t[3]); },
                 large});
  for (const Turn back : {Turn::no, Turn::yes}) {
    Arg y = over(dims, 2);
    if (back == Turn::yes) y.over_arg = 0;
    all.push_back({"rotate",
                   dims.text() + (back == Turn::yes ? " back, in place" : ""),
                   {input(dims, noise("rotated", dims)), input(table, noise("cosine", table), Arg::Kind::wide),
                    input(table, noise("sine", table), Arg::Kind::wide), y},
                   [back](Ops& ops, const Tensors& t) { ops.rotate(t[0], t[1], t[2], back, t[3]); },
                   large});
  }
}

}  // namespace

std::vector<Case> row_cases() {
  std::vector<Case> all;
  norms(all, 1, 1, false);
  norms(all, 0, 8, false);
  norms(all, 3, 7, false);
  norms(all, 5, 64, false);
  norms(all, 130, 333, true);
  embeddings(all, 1, 1, 1, 0, false);
  embeddings(all, 0, 4, 3, 0, false);
  embeddings(all, 9, 5, 3, 10, false);
  embeddings(all, 300, 300, 50, 7, true);
  rotations(all, 1, 1, 2, false);
  rotations(all, 0, 2, 4, false);
  rotations(all, 5, 3, 10, false);
  rotations(all, 70, 6, 96, true);
  return all;
}

}  // namespace hearth::test
