#include "kernels/cases.h"

namespace hearth::test {

namespace {

using Tensors = std::vector<Tensor>;

void of_size(std::vector<Case>& all, std::int64_t count, bool large) {
  const Dims dims{count};
  const Dims chunks{(count + norm_chunk - 1) / norm_chunk};
  all.push_back({"squared_norm",
                 dims.text(),
                 {input(dims, noise("squares", dims), Arg::Kind::wide), over(chunks, norm_chunk, Arg::Kind::precise)},
                 [](Ops& ops, const Tensors& t) { ops.squared_norm(t[0], t[1]); },
                 large});
  const AdamW update{.rate = 0.01, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .decay = 0.1, .step = 7};
  for (const double allowed : {1.0, 0.0}) {
    std::vector<double> second = noise("second", dims);
    for (double& value : second) value = 0.5 + 0.25 * value;
    Arg seconds = onto("second", dims, 1, Arg::Kind::wide);
    seconds.values = second;
    all.push_back({"adamw",
                   dims.text() + (allowed == 0 ? " suppressed" : ""),
                   {input(dims, noise("gradient", dims), Arg::Kind::wide), input({2}, {0.5, allowed}, Arg::Kind::wide),
                    onto("weight", dims, 2, Arg::Kind::wide), onto("first", dims, 2, Arg::Kind::wide), seconds},
                   [update](Ops& ops, const Tensors& t) { ops.adamw(t[0], t[1], update, t[2], t[3], t[4]); },
                   large});
  }
}

}  // namespace

std::vector<Case> flat_cases() {
  std::vector<Case> all;
  of_size(all, 0, false);
  of_size(all, 1, false);
  of_size(all, 255, false);
  of_size(all, 256, false);
  of_size(all, 2309, false);
  of_size(all, 70001, true);
  return all;
}

}  // namespace hearth::test
