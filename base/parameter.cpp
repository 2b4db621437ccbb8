#include "base/parameter.h"

#include <cmath>

namespace hearth {

float initial_value(const Parameter& parameter, const Key& seed, std::int64_t index) {
  switch (parameter.law.kind) {
    case Law::Kind::zeros:
      return 0;
    case Law::Kind::ones:
      return 1;
    case Law::Kind::normal:
    case Law::Kind::xavier:
      break;
  }
  double spread = parameter.law.spread;
  if (parameter.law.kind == Law::Kind::xavier) {  // Glorot and Bengio 2010
    const auto& full = parameter.full;
    spread = std::sqrt(2.0 / static_cast<double>(full[0] + (full.count > 1 ? full[1] : 0)));
  }
  const Key key = seed.with("init").with(parameter.name);
  return static_cast<float>(spread * key.normal(static_cast<std::uint64_t>(index)));
}

}  // namespace hearth
