// What a tokenizer puts before and behind a text.
#pragma once

#include <cstdint>
#include <vector>

#include "data/tokenizer/json.h"

namespace hearth::tokenization {

struct Surroundings {
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> behind;
};

/// Reads "post_processor" (not null). Throws Kind::data for what is malformed or not understood. Ids are checked to lie
/// below `vocabulary_size`.
Surroundings read_post_processor(const Json& description, std::int32_t vocabulary_size);

}  // namespace hearth::tokenization
