#include "kernels/backend.h"

namespace hearth {

// The truth serves as the first backend until the vectorised loops stand.
std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  require(options.threads > 0, "a backend has at least one thread");
  return make_plain_backend();
}

Bf16Products measure_bf16_products(const CpuOptions&) { return Bf16Products::widened; }

}  // namespace hearth
