// The frequencies of rotary position embedding, to the bit as transformers makes them where its arithmetic is defined.
#pragma once

#include <vector>

#include "model/config.h"

namespace hearth {

/// The angle of pair j (dims j and j + H/2 of a head) at position p is p * inverse_frequency[j]; its cosine and sine
/// are both multiplied by `attention_factor` (so that a product of query and key carries its square).
struct Rotary {
  std::vector<float> inverse_frequency;  // (H / 2)
  double attention_factor = 1;
};

/// Source: transformers' modeling_rope_utils, whose operations run in float32 in this order; only the power is made in
/// double here and rounded once (torch's own is within one unit of the last place of that).
Rotary rotary_of(const ModelConfig& config);

}  // namespace hearth
