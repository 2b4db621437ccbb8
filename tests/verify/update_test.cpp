// A step of AdamW that `verify` holds a rank's weights to.
#include "trainer/verify_update.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hearth {
namespace {

/// One step in f32, as a device does it.
VerifyState stepped(const VerifyState& from, float gradient, const AdamW& by) {
  const auto m = static_cast<float>(by.beta1 * from.first_moment + (1 - by.beta1) * gradient);
  const auto v = static_cast<float>(by.beta2 * from.second_moment +
                                    (1 - by.beta2) * static_cast<double>(gradient) * static_cast<double>(gradient));
  const auto steps = static_cast<double>(by.step);
  const auto root =
      static_cast<float>(std::sqrt(static_cast<double>(v) / (1 - std::pow(by.beta2, steps))) + by.epsilon);
  const auto move = static_cast<float>(by.rate / (1 - std::pow(by.beta1, steps)) * static_cast<double>(m / root));
  const auto decayed = static_cast<float>(from.weight * (1 - by.rate * by.decay));
  return {decayed - move, m, v};
}

TEST(Move, OfASoundStepIsAllowedAndOfAnyWrongPartIsNot) {
  for (const double beta2 : {0.0, 0.1, 0.999}) {
    for (const double epsilon : {1e-15, 1e-8}) {
      for (const float second : {0.3F, 1e-3F, 1e-6F, -1e-12F}) {
        AdamW by{.rate = 1e-3, .beta1 = 0.9, .beta2 = beta2, .epsilon = epsilon, .decay = 0.1, .step = 1};
        const VerifyState start{0.25};
        const VerifyState one = stepped(start, 0.2F, by);
        const VerifyMove first = verify_move(start, one, by);
        EXPECT_LE(first.off, first.allowed);
        EXPECT_LT(first.allowed, 1e-3 * by.rate);
        by.step = 2;
        const VerifyState two = stepped(one, second, by);
        const VerifyMove sound = verify_move(one, two, by);
        EXPECT_LE(sound.off, sound.allowed) << beta2 << " " << epsilon << " " << second;
        VerifyState wrong = two;
        wrong.weight += 1e-3 * (two.weight - one.weight);
        const VerifyMove longer = verify_move(one, wrong, by);
        EXPECT_GT(longer.off, longer.allowed) << beta2 << " " << epsilon << " " << second;
      }
    }
  }
}

TEST(Move, OfASecondMomentThatTheGradientDoesNotExplainIsNot) {
  const AdamW by{.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .step = 1};
  AdamW other = by;
  other.beta2 = 0.949;
  VerifyState found = stepped({0.25}, 0.2F, other);
  const double root = std::sqrt(found.second_moment / 0.05) + by.epsilon;
  found.weight = static_cast<float>(0.25 - by.rate / 0.1 * found.first_moment / root);  // follows from it
  const VerifyMove move = verify_move({0.25}, found, by);
  EXPECT_GT(move.off, 10 * move.allowed);
}

}  // namespace
}  // namespace hearth
