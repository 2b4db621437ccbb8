#include "model/rotary.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace hearth {

namespace {

/// theta^(2 j / H) for j in [0, H / 2).
std::vector<float> wavelengths(const ModelConfig& config) {
  const auto width = static_cast<float>(config.head_width);
  const auto theta = static_cast<double>(static_cast<float>(config.rope.theta));
  std::vector<float> powers(static_cast<std::size_t>(config.head_width / 2));
  for (std::size_t j = 0; j < powers.size(); ++j) {
    const float exponent = static_cast<float>(2 * j) / width;
    powers[j] = static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  return powers;
}

std::vector<float> plain(const ModelConfig& config) {
  std::vector<float> frequencies = wavelengths(config);
  for (float& value : frequencies) value = 1.0F / value;
  return frequencies;
}

/// Wavelengths beyond the old context are stretched, short ones are not, those between are mixed. torch computes
/// `scalar / tensor` as reciprocal times scalar, so that is done here too.
std::vector<float> llama3(const ModelConfig& config) {
  const Rope& rope = config.rope;
  const auto factor = static_cast<float>(rope.factor);
  const auto context = static_cast<float>(rope.original_max_positions);
  const double old_context = static_cast<double>(rope.original_max_positions);
  const auto longest = static_cast<float>(old_context / rope.low_frequency_factor);
  const auto shortest = static_cast<float>(old_context / rope.high_frequency_factor);
  const auto low = static_cast<float>(rope.low_frequency_factor);
  const auto spread = static_cast<float>(rope.high_frequency_factor - rope.low_frequency_factor);

  std::vector<float> frequencies = plain(config);
  for (float& frequency : frequencies) {
    const float length = (1.0F / frequency) * static_cast<float>(2 * std::numbers::pi);
    if (length > longest) {
      frequency = frequency / factor;
    } else if (!(length < shortest)) {
      const float smooth = ((1.0F / length) * context - low) / spread;
      frequency = (1.0F - smooth) * frequency / factor + smooth * frequency;
    }
  }
  return frequencies;
}

/// The dim (as a real number) that turns `rotations` times over the old context.
double dim_of(double rotations, const ModelConfig& config) {
  const double context = static_cast<double>(config.rope.original_max_positions);
  return static_cast<double>(config.head_width) * std::log(context / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(config.rope.theta));
}

std::vector<float> yarn(const ModelConfig& config) {
  const Rope& rope = config.rope;
  double first = dim_of(rope.beta_fast, config);
  double last = dim_of(rope.beta_slow, config);
  if (rope.truncate) {
    first = std::floor(first);
    last = std::ceil(last);
  }
  first = std::max(first, 0.0);
  last = std::min(last, static_cast<double>(config.head_width - 1));
  if (first == last) last += 0.001;  // else the ramp divides by zero

  const auto factor = static_cast<float>(rope.factor);
  std::vector<float> frequencies = wavelengths(config);
  for (std::size_t j = 0; j < frequencies.size(); ++j) {
    const float ramp = (static_cast<float>(j) - static_cast<float>(first)) / static_cast<float>(last - first);
    const float kept = 1.0F - std::clamp(ramp, 0.0F, 1.0F);
    const float plain_frequency = 1.0F / frequencies[j];
    const float stretched = 1.0F / (factor * frequencies[j]);
    frequencies[j] = stretched * (1.0F - kept) + plain_frequency * kept;
  }
  return frequencies;
}

double yarn_attention_factor(const Rope& rope) {
  if (rope.attention_factor) return *rope.attention_factor;
  const auto scale = [&rope](double slope) {
    return rope.factor <= 1 ? 1.0 : 0.1 * slope * std::log(rope.factor) + 1.0;
  };
  const double mscale = rope.mscale.value_or(0);
  const double mscale_all = rope.mscale_all.value_or(0);
  return mscale != 0 && mscale_all != 0 ? scale(mscale) / scale(mscale_all) : scale(1);
}

}  // namespace

Rotary rotary_of(const ModelConfig& config) {
  switch (config.rope.kind) {
    case Rope::Kind::none:
      return {plain(config), 1};
    case Rope::Kind::linear: {
      Rotary rotary{plain(config), 1};
      for (float& value : rotary.inverse_frequency) value = value / static_cast<float>(config.rope.factor);
      return rotary;
    }
    case Rope::Kind::llama3:
      return {llama3(config), 1};
    case Rope::Kind::yarn:
      return {yarn(config), yarn_attention_factor(config.rope)};
  }
  return {plain(config), 1};
}

}  // namespace hearth
