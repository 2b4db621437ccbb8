// How much scratch a Stage needs at once, by arithmetic.
#pragma once

#include <cstddef>

#include "model/transformer.h"

namespace hearth {

struct StageOptions;

/// Bytes of an arena, for microbatches of up to options.capacity tokens.
struct StageScratch {
  std::size_t losses = 0;    // forward alone
  std::size_t logits = 0;    // a chunk of rows of them, whole
  std::size_t training = 0;  // there and back
};
StageScratch stage_scratch(const Transformer& model, const StageOptions& options);

/// What a microbatch of options.capacity tokens is on one context rank.
BatchShape full_shape(const Transformer& model, const StageOptions& options);

/// Whether a block forgets what its forward kept, and runs forward again before its backward.
bool is_recomputed(const Transformer& model, const StageOptions& options, int block);

}  // namespace hearth
