// One run of what `verify` compares, on one rank or on a mesh.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "trainer/verify_plan.h"
#include "trainer/verify_update.h"

namespace hearth {

/// What a rank holds of one parameter, in f32.
struct VerifyPiece {
  std::size_t parameter = 0;  // in Transformer::parameters()
  bool counted = false;       // whether this rank is the one of those with the same elements that norms count
  Stretch where;
  std::vector<float> values;
};

/// The numbers that every rank knows.
enum class VerifyNumber { loss, norm, loss_after_one, norm_after_one, loss_after_two };
constexpr std::size_t verify_numbers = 5;
const char* name_of(VerifyNumber number);

struct VerifyResult {
  int ranks = 1;                      // that ran it together
  std::vector<Parameter> parameters;  // of the whole model
  std::array<double, verify_numbers> numbers{};
  std::vector<VerifyPiece> gradients;  // of the first step's rows, before clipping
  /// What the first moment took up in the first and in the second step, divided by this run's own clipping: gradients.
  std::vector<VerifyPiece> first_taken_up, second_gradients;
  double carried = 0;  // how much of the first step's gradient the second's first moment holds, next to the second's
  std::vector<VerifyPiece> weights_between, weights;  // after one step, after two
  std::vector<VerifyUpdate> updates;                  // as `weights`
};

/// Whole parameters, in the order of Transformer::parameters().
using VerifyWeights = std::vector<std::vector<float>>;
/// The weights that another run came to.
struct VerifyPath {
  VerifyWeights after_one, after_two;
};

/// Gradients of the first step's rows, two steps, and the loss after them, on the ranks of `world`, which are as many as
/// plan.mesh has. Collective. Pieces are what this rank keeps, copies of others' included. A step whose gradient is not
/// finite leaves the weights as they were, and its numbers say so. With a path, after each step the weights become those
/// of the path, so that what follows is computed from the weights of the other run; `weights` and `updates` are what this
/// run's own steps made of them.
VerifyResult verify_run(const VerifyPlan& plan, Dtype compute, Communicator& world, Backend& backend,
                        const VerifyPath* path = nullptr);

}  // namespace hearth
