#include "kernels/cases.h"

#include <cmath>

#include "base/random.h"

namespace hearth::test {

std::vector<double> noise(const std::string& name, const Dims& dims, double size) {
  const Key key = Key(7).with(name).with(dims.text());
  std::vector<double> values;
  for (std::int64_t i = 0; i < dims.elements(); ++i) {
    values.push_back(size * (2 * key.uniform(static_cast<std::uint64_t>(i)) - 1));
  }
  return values;
}

std::vector<double> away_from_zero(const std::string& name, const Dims& dims, double size) {
  std::vector<double> values = noise(name, dims);
  for (double& value : values) value = std::copysign(size * (0.25 + 0.75 * std::abs(value)), value);
  return values;
}

Arg input(Dims dims, std::vector<double> values, Arg::Kind kind) {
  Arg arg;
  arg.kind = kind;
  arg.dims = dims;
  arg.values = std::move(values);
  return arg;
}

Arg integers(std::vector<double> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return input({count}, std::move(values), Arg::Kind::integer);
}

Arg over(Dims dims, double terms, Arg::Kind kind) {
  Arg arg;
  arg.kind = kind;
  arg.use = Arg::Use::over;
  arg.dims = dims;
  arg.terms = terms;
  return arg;
}

Arg onto(const std::string& name, Dims dims, double terms, Arg::Kind kind) {
  Arg arg = input(dims, noise(name, dims), kind);
  arg.use = Arg::Use::add;
  arg.terms = terms;
  return arg;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& some :
       {elementwise_cases(), product_cases(), row_cases(), attention_cases(), head_cases(), flat_cases()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace hearth::test
