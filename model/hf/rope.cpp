#include "model/hf/rope.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace hearth::hf {

namespace {

constexpr double default_theta = 10000;
constexpr std::int64_t most_positions = std::int64_t{1} << 30;

constexpr std::array<std::string_view, 15> known = {"rope_theta",
                                                    "rope_type",
                                                    "type",
                                                    "factor",
                                                    "original_max_position_embeddings",
                                                    "beta_fast",
                                                    "beta_slow",
                                                    "truncate",
                                                    "attention_factor",
                                                    "partial_rotary_factor",
                                                    "mscale",
                                                    "mscale_all_dim",
                                                    "low_freq_factor",
                                                    "high_freq_factor",
                                                    "finetuned"};

Rope::Kind read_kind(const Fields& fields) {
  const auto newer = fields.text("rope_type");
  const auto older = fields.text("type");
  if (newer && older && *newer != *older) fields.refuse("type", "rope_type beside it says something else");
  const std::string kind = newer.value_or(older.value_or("default"));
  if (kind == "default") return Rope::Kind::none;
  if (kind == "linear") return Rope::Kind::linear;
  if (kind == "llama3") return Rope::Kind::llama3;
  if (kind == "yarn") return Rope::Kind::yarn;
  fields.refuse(newer ? "rope_type" : "type", "hearth knows the scalings default, linear, llama3 and yarn");
}

void refuse_unknown(const Fields& fields) {
  for (const auto& [key, value] : fields.object().items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      fields.refuse(key, "hearth does not know this rotary setting");
  if (fields.number("partial_rotary_factor").value_or(1) != 1)
    fields.refuse("partial_rotary_factor", "hearth rotates whole heads only");
}

void read_yarn(const Fields& fields, std::int64_t max_positions, Rope& rope) {
  const auto positive = [&](std::string_view key) -> std::optional<double> {
    return fields.has(key) ? std::optional(fields.number(key, 1, 0)) : std::nullopt;
  };
  const bool has_original = fields.has("original_max_position_embeddings");
  rope.original_max_positions = fields.integer("original_max_position_embeddings", max_positions, 1, most_positions);
  if (!fields.has("factor") && !has_original) fields.miss("factor", "yarn needs it");
  const double grown = static_cast<double>(max_positions) / static_cast<double>(rope.original_max_positions);
  rope.factor = fields.number("factor", grown, 0);
  rope.attention_factor = positive("attention_factor");
  rope.mscale = fields.number("mscale");
  rope.mscale_all = fields.number("mscale_all_dim");
  // transformers writes `get(...) or default`, so that 0 means the default as well.
  rope.beta_fast = fields.number("beta_fast").value_or(0) == 0 ? 32 : fields.number("beta_fast", 32, 0);
  rope.beta_slow = fields.number("beta_slow").value_or(0) == 0 ? 1 : fields.number("beta_slow", 1, 0);
  rope.truncate = fields.flag("truncate").value_or(true);
}

/// What one object of settings says; `theta` is used where it has none of its own.
Rope read_settings(const Fields& fields, std::int64_t max_positions, double theta) {
  Rope rope;
  rope.kind = read_kind(fields);  // first: what another scaling has of its own is not what it is refused for
  refuse_unknown(fields);
  rope.theta = fields.number("rope_theta", theta, 1);
  if (rope.kind == Rope::Kind::none) return rope;
  if (rope.kind == Rope::Kind::yarn) {
    read_yarn(fields, max_positions, rope);
    return rope;
  }
  if (!fields.has("factor")) fields.miss("factor", "this scaling needs it");
  rope.factor = fields.number("factor", 1, 0);
  if (rope.kind == Rope::Kind::linear) return rope;
  for (const char* key : {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"})
    if (!fields.has(key)) fields.miss(key, "llama3 needs it");
  rope.low_frequency_factor = fields.number("low_freq_factor", 1, 0);
  rope.high_frequency_factor = fields.number("high_freq_factor", 4, 0);
  if (rope.high_frequency_factor <= rope.low_frequency_factor)
    fields.refuse("high_freq_factor", "it must be above low_freq_factor");
  rope.original_max_positions = fields.integer("original_max_position_embeddings", 1, 1, most_positions);
  return rope;
}

}  // namespace

Rope read_rope(const Fields& config, const std::string& where, std::int64_t max_positions) {
  const double theta = config.number("rope_theta", default_theta, 1);
  std::optional<Rope> older;
  std::optional<Rope> newer;
  if (const OrderedJson* scaling = config.find("rope_scaling"))
    older = read_settings(Fields(*scaling, where, "rope_scaling"), max_positions, theta);
  if (const OrderedJson* parameters = config.find("rope_parameters"))
    newer = read_settings(Fields(*parameters, where, "rope_parameters"), max_positions, theta);
  if (newer && config.has("rope_theta") && newer->theta != theta)
    config.refuse("rope_theta", fmt::format("rope_parameters.rope_theta is {}; they must agree", newer->theta));
  if (older && config.has("rope_theta") && older->theta != theta)
    config.refuse("rope_theta", fmt::format("rope_scaling.rope_theta is {}; they must agree", older->theta));
  if (older && newer && *older != *newer)
    config.refuse("rope_scaling", "rope_parameters says something else; they must agree");
  if (newer) return *newer;
  if (older) return *older;
  Rope plain;
  plain.theta = theta;
  return plain;
}

void write_rope(const Rope& rope, OrderedJson& config) {
  config.erase("rope_parameters");
  config["rope_theta"] = rope.theta;
  if (rope.kind == Rope::Kind::none) {
    config["rope_scaling"] = nullptr;
    return;
  }
  OrderedJson scaling = {{"factor", rope.factor}};
  if (rope.kind == Rope::Kind::linear) scaling["rope_type"] = "linear";
  if (rope.kind == Rope::Kind::llama3) {
    scaling["rope_type"] = "llama3";
    scaling["low_freq_factor"] = rope.low_frequency_factor;
    scaling["high_freq_factor"] = rope.high_frequency_factor;
    scaling["original_max_position_embeddings"] = rope.original_max_positions;
  }
  if (rope.kind == Rope::Kind::yarn) {
    scaling["rope_type"] = "yarn";
    scaling["original_max_position_embeddings"] = rope.original_max_positions;
    scaling["beta_fast"] = rope.beta_fast;
    scaling["beta_slow"] = rope.beta_slow;
    scaling["truncate"] = rope.truncate;
    if (rope.attention_factor) scaling["attention_factor"] = *rope.attention_factor;
    if (rope.mscale) scaling["mscale"] = *rope.mscale;
    if (rope.mscale_all) scaling["mscale_all_dim"] = *rope.mscale_all;
  }
  config["rope_scaling"] = scaling;
}

}  // namespace hearth::hf
