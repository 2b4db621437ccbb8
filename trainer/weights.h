// Where the weights of a run come from: drawn, read from a Hugging Face folder, or from a checkpoint. Each rank asks
// only for the intervals it owns, so no rank ever holds the whole model.
#pragma once

#include "base/random.h"
#include "model/hf/weight_files.h"
#include "trainer/checkpoint.h"
#include "trainer/groups.h"

namespace hearth {

/// Fresh weights: a function of seed, name and index.
void fill_fresh(Groups& groups, std::uint64_t seed);
/// The weights of a model folder. REQUIRES: check_complete held.
void fill_from_files(Groups& groups, const hf::WeightFiles& files);
/// Weights and, where `moments`, the optimizer's moments.
void fill_from_checkpoint(Groups& groups, const CheckpointReader& checkpoint, bool moments);
/// What this rank writes into a checkpoint.
std::vector<SavedPiece> owned_pieces(const Groups& groups, bool moments);

}  // namespace hearth
