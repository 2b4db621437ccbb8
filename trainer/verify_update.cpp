#include "trainer/verify_update.h"

#include <algorithm>
#include <cmath>

namespace hearth {

namespace {

constexpr double unit_roundoff = 0x1p-24;
constexpr double least_normal = 0x1p-126;  // what is smaller may be lost

/// Second moments that a gradient known up to `blur` explains.
double nearest_second_moment(const VerifyState& before, double found, double gradient, double blur,
                             const AdamW& update) {
  const auto after = [&](double g) { return update.beta2 * before.second_moment + (1 - update.beta2) * g * g; };
  const double least = after(std::max(0.0, gradient - blur)) * (1 - 8 * unit_roundoff) - least_normal;
  const double most = after(gradient + blur) * (1 + 8 * unit_roundoff) + least_normal;
  return std::clamp(found, std::max(0.0, least), most);
}

}  // namespace

VerifyMove verify_move(const VerifyState& before, const VerifyState& after, const AdamW& update) {
  const double u = unit_roundoff;
  const double rest1 = 1 - update.beta1;
  const double taken_up = after.first_moment - update.beta1 * before.first_moment;
  const double gradient = std::abs(taken_up) / rest1;
  const double sizes = std::abs(after.first_moment) + update.beta1 * std::abs(before.first_moment);
  const double blur = (2 * u * sizes + least_normal) / rest1 + 8 * u * gradient;
  const double second_moment = nearest_second_moment(before, after.second_moment, gradient, blur, update);
  const double correction1 = 1 - std::pow(update.beta1, static_cast<double>(update.step));
  const double correction2 = 1 - std::pow(update.beta2, static_cast<double>(update.step));
  const double root = std::sqrt(second_moment / correction2) + update.epsilon;
  const double move = update.rate / correction1 * after.first_moment / root;
  const double expected = before.weight - update.rate * update.decay * before.weight - move;
  return {std::abs(after.weight - expected),
          2 * u * (std::abs(before.weight) + std::abs(after.weight)) + 16 * u * std::abs(move)};
}

}  // namespace hearth
