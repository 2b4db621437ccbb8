// Schedules against transformers' (known answers of tests/data/golden/optim), clipping against its formula.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "optim/clip.h"
#include "optim/schedule.h"
#include "support/shared.h"

namespace hearth {
namespace {

TEST(Schedule, EqualsTransformers) {
  const auto all = nlohmann::json::parse(read_text(test::data() / "golden" / "optim" / "schedules.json"));
  std::set<std::string> checked;
  for (const auto& known : all.at("schedules")) {
    const std::string name = known.at("name");
    Schedule schedule;
    schedule.peak = known.at("lr");
    schedule.warmup = known.at("warmup_steps");
    schedule.steps = known.at("total_steps");
    if (name == "linear") {
      schedule.kind = Schedule::Kind::linear;
    } else if (name == "cosine") {
      schedule.kind = Schedule::Kind::cosine;
    } else if (name == "constant" || name == "constant_with_warmup") {
      schedule.kind = Schedule::Kind::constant;
    } else if (name == "cosine_with_min_lr") {
      schedule.kind = Schedule::Kind::cosine_with_min_lr;
      schedule.floor = known.at("min_lr").get<double>() / schedule.peak;
    } else if (name == "warmup_stable_decay" && !known.contains("decay_type")) {
      schedule.kind = Schedule::Kind::warmup_stable_decay;
      schedule.floor = known.at("min_lr_ratio");
      schedule.decay_steps = known.at("num_decay_steps");
    } else {
      continue;  // polynomial, inverse_sqrt and a linear decay are not offered
    }
    checked.insert(name);
    const std::vector<double> rates = known.at("rate_of_step");
    for (std::size_t step = 0; step < rates.size(); ++step) {
      // The same formula in double, factored otherwise: a few roundings.
      EXPECT_NEAR(schedule.rate(static_cast<std::int64_t>(step)), rates[step], 8 * schedule.peak * 2.3e-16)
          << name << " step " << step;
    }
  }
  EXPECT_EQ(checked.size(), 6U);
}

TEST(Clip, ScalesAboveTheLimitOnly) {
  std::array<float, 2> control{};
  const Tensor tensor(control.data(), Dtype::f32, {2});
  clip_control(4, 1, tensor);
  EXPECT_FLOAT_EQ(control[0], static_cast<float>(1 / (4 + 1e-6)));
  EXPECT_EQ(control[1], 1);
  clip_control(0.5, 1, tensor);
  EXPECT_EQ(control[0], 1);
  clip_control(4, 0, tensor);
  EXPECT_EQ(control[0], 1);
  for (const double norm : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    clip_control(norm, 1, tensor);
    EXPECT_EQ(control[1], 0);
    EXPECT_EQ(control[0], 1);
  }
}

}  // namespace
}  // namespace hearth
