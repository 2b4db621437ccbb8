#include "kernels/cases.h"

namespace hearth::test {

namespace {

using Tensors = std::vector<Tensor>;

struct Size {
  std::int64_t rows, length, columns;  // M, L, P
  bool large = false;
};

// One row, few rows (dot products), odd sizes, an empty sum, several tiles, several stretches of a long sum.
const Size sizes[] = {{1, 1, 1},          {1, 65, 7}, {4, 33, 70},   {5, 17, 3},           {3, 0, 4},
                      {0, 5, 4},          {2, 5, 0},  {67, 129, 31}, {270, 40, 400, true}, {70, 1600, 90, true},
                      {2, 300, 500, true}};

std::string turns(Turn a, Turn b) {
  return std::string(a == Turn::yes ? "T" : "N") + (b == Turn::yes ? "T" : "N");
}

}  // namespace

std::vector<Case> product_cases() {
  std::vector<Case> all;
  for (const Size& size : sizes) {
    for (const Turn turn_a : {Turn::no, Turn::yes}) {
      for (const Turn turn_b : {Turn::no, Turn::yes}) {
        for (const Write write : {Write::over, Write::add}) {
          for (const Arg::Kind kind : {Arg::Kind::real, Arg::Kind::single}) {
            // Large ones cost seconds: over in the dtype under test, added to in f32, as activations and gradients are.
            if (size.large && (write == Write::add) != (kind == Arg::Kind::single)) continue;
            const Dims a = turn_a == Turn::yes ? Dims{size.length, size.rows} : Dims{size.rows, size.length};
            const Dims b = turn_b == Turn::yes ? Dims{size.columns, size.length} : Dims{size.length, size.columns};
            const Dims y{size.rows, size.columns};
            const double scale = kind == Arg::Kind::real && write == Write::add ? -0.3 : 1;
            const double terms = static_cast<double>(size.length) + 1;
            const std::string shape = Dims{size.rows, size.length, size.columns}.text() + turns(turn_a, turn_b) +
                                      (write == Write::add ? " add" : "") +
                                      (kind == Arg::Kind::single ? " into f32" : "");
            all.push_back(
                {"matmul",
                 shape,
                 {input(a, noise("a", a)), input(b, noise("b", b)),
                  write == Write::add ? onto("y", y, terms, kind) : over(y, terms, kind)},
                 [=](Ops& ops, const Tensors& t) { ops.matmul(t[0], turn_a, t[1], turn_b, scale, write, t[2]); },
                 size.large});
          }
        }
      }
    }
  }
  return all;
}

}  // namespace hearth::test
