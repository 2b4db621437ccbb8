// A chain of blocks run on a mesh of ranks (threads), its results put together again: what a cut run is compared by.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/batch.h"
#include "model/block.h"

namespace hearth::test {

/// Blocks that follow each other, made for any axes. The first may be an embedding, the last a head.
struct Chain {
  std::function<std::vector<std::unique_ptr<Block>>(const AxisSizes&)> blocks;
  std::int64_t width = 0;  // D
  std::int64_t head_width = 2;
  std::int64_t window = 0;
};

struct MeshRun {
  AxisSizes axes;
  Dtype compute = Dtype::f64;
  bool plain = true;           // the plain truth, or the CPU backend
  Dtype rounded = Dtype::f64;  // what weights and inputs are rounded to, also where `compute` is finer
  bool recompute = false;      // activations are shed, and forward runs again
};

/// Whole tensors of one microbatch of M tokens, in f64, rows in the order of the microbatch.
struct Outcome {
  std::map<std::string, std::vector<double>> values;     // "y" and "dx", or "losses" and "logits"
  std::map<std::string, std::vector<double>> gradients;  // by parameter, row-major in `full`
  std::vector<std::string> complaints;                   // ranks that should agree and do not, padding that is not zero
  std::vector<Traffic> tensor, context;                  // of each rank
};

/// Forward and backward of all blocks. Weights, and x and dy where the chain's ends are no embedding and no head, are
/// noise that depends on names and places alone. Gradients are addends of context ranks, and of holders where a
/// parameter says so. REQUIRES: documents that can be cut.
Outcome run(const Chain& chain, const Documents& documents, const MeshRun& how);

}  // namespace hearth::test
