// `verify` on ranks that are threads, sound or with a fault.
#pragma once

#include <string>
#include <vector>

#include "trainer/verify_report.h"
#include "verify/faults.h"

namespace hearth::test {

/// A model of ordinary sizes: llama (tied), qwen2, qwen3, mistral (windowed).
ModelConfig real_config(const std::string& family);
std::vector<std::string> families();

/// What a recipe says of the ranks and the arithmetic.
struct Wish {
  MeshShape mesh;
  int zero_stage = 0;
  Recipe::PipelineSchedule schedule = Recipe::PipelineSchedule::one_forward_one_backward;
  std::int64_t recompute = 0;
  Dtype dtype = Dtype::f32;
  double smoothing = 0;
  Recipe::SumOrder order = Recipe::SumOrder::fixed;
  std::int64_t microbatch_rows = 2;
  std::int64_t accumulation = 2;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double max_norm = 1;
};
Recipe recipe_of(const Wish& wish);

/// On as many threads as the mesh has ranks; every rank's report says the same. A fault of the mathematics is that of rank
/// `wrong`, one of the ranks in communicators of `least` ranks and more.
VerifyReport verified(const Wish& wish, const std::string& family, Fault fault = Fault::none, int least = 1,
                      int wrong = 1);
VerifyReport verified(const Wish& wish, const ModelConfig& config, Fault fault = Fault::none, int least = 1,
                      int wrong = 1);

}  // namespace hearth::test
