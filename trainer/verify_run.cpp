#include "trainer/verify_run.h"

#include <algorithm>
#include <map>

#include "trainer/evaluate.h"

namespace hearth {

namespace {

void fill(Groups& groups) {
  for (int i = 0; i < groups.count(); ++i) {
    groups.group(i).fill(FlatGroup::Part::weight, [&](const Parameter& parameter, const Stretch& where, float* out) {
      for (std::int64_t row = 0; row < where.rows; ++row) {
        const std::int64_t begin = where.begin + row * where.stride;
        for (std::int64_t at = begin; at < begin + where.columns; ++at) *out++ = verify_weight(parameter, at);
      }
    });
  }
}

void forget_moments(Groups& groups) {
  const FlatGroup::Source zeros = [](const Parameter&, const Stretch& where, float* out) {
    std::fill_n(out, where.elements(), 0.0F);
  };
  for (int i = 0; i < groups.count(); ++i) {
    groups.group(i).fill(FlatGroup::Part::first_moment, zeros);
    groups.group(i).fill(FlatGroup::Part::second_moment, zeros);
  }
}

std::vector<float> values_in(In flat, const FlatGroup::Piece& piece, const HeldStretch& held) {
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(held.full.elements()));
  const float* from = flat.typed<float>() + (held.at - piece.offset);
  for (std::int64_t row = 0; row < held.full.rows; ++row) {
    values.insert(values.end(), from + row * held.pitch, from + row * held.pitch + held.full.columns);
  }
  return values;
}

/// A part of everything that this rank keeps.
std::vector<VerifyPiece> kept(const std::vector<Parameter>& parameters, const Groups& groups,
                              Tensor FlatGroup::Piece::*part) {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < parameters.size(); ++i) places[parameters[i].name] = i;
  std::vector<VerifyPiece> pieces;
  for (const FlatGroup* group : groups.all()) {
    for (const FlatGroup::Piece& piece : group->updated()) {
      const auto owned = group->owned();
      const bool own = std::any_of(owned.begin(), owned.end(), [&](const auto& of) {
        return of.weight.data == piece.weight.data && of.parameter == piece.parameter;
      });
      const std::string& name = group->parameters()[static_cast<std::size_t>(piece.parameter)].name;
      for (const HeldStretch& held : group->stretches(piece)) {
        pieces.push_back(
            {places.at(name), own && group->counted(piece.parameter), held.full, values_in(piece.*part, piece, held)});
      }
    }
  }
  return pieces;
}

}  // namespace

const char* name_of(VerifyNumber number) {
  switch (number) {
    case VerifyNumber::loss:
      return "loss";
    case VerifyNumber::norm:
      return "gradient norm";
    case VerifyNumber::loss_after_one:
      return "loss after one step";
    case VerifyNumber::norm_after_one:
      return "gradient norm after one step";
    case VerifyNumber::loss_after_two:
      break;
  }
  return "loss after two steps";
}

VerifyResult verify_run(const VerifyPlan& plan, Dtype compute, Communicator& world, Backend& backend) {
  Mesh mesh(world, plan.mesh);
  const Transformer model(plan.config, plan.label_smoothing, Init::normal,
                          {.tensor = plan.mesh.tensor, .context = plan.mesh.context});
  PlacedOptions placed = plan.placed;
  placed.compute = compute;
  ModelOnMesh on(model, mesh, placed, backend.ops(), backend.memory());
  fill(on.groups);
  VerifyResult result;
  result.ranks = world.size();
  result.parameters = model.parameters();

  // At rate 0 and without memory the first moment is the gradient, to the bit, and the weights stay.
  StepOptions bare = plan.step;
  bare.adamw = {.beta1 = 0, .beta2 = plan.step.adamw.beta2, .epsilon = plan.step.adamw.epsilon, .decay = 0};
  bare.max_norm = 0;
  Stepper gradients(on.pipeline, on.groups, backend.ops(), backend.memory(), plan.rows, bare);
  const StepResult before = gradients.step(0, plan.first_rows, 0);
  result.gradients = kept(result.parameters, on.groups, &FlatGroup::Piece::first_moment);
  forget_moments(on.groups);

  Stepper stepper(on.pipeline, on.groups, backend.ops(), backend.memory(), plan.rows, plan.step);
  stepper.step(0, plan.first_rows, verify_rate);
  const StepResult second = stepper.step(1, plan.second_rows, verify_rate);
  result.weights = kept(result.parameters, on.groups, &FlatGroup::Piece::weight);
  result.numbers = {before.loss, before.norm, second.loss, second.norm, mean_loss(on.pipeline, plan.rows)};
  return result;
}

}  // namespace hearth
