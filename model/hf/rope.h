// The rotary settings of config.json, in both spellings. For the sources of model/hf only.
#pragma once

#include "model/config.h"
#include "model/hf/json.h"

namespace hearth::hf {

/// Reads `rope_parameters`, or `rope_theta` with `rope_scaling`; where both are there they must agree.
Rope read_rope(const Fields& config, const std::string& where, std::int64_t max_positions);

/// Writes them in the older spelling, which every version of transformers reads.
void write_rope(const Rope& rope, OrderedJson& config);

}  // namespace hearth::hf
