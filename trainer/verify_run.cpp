#include "trainer/verify_run.h"

#include <algorithm>
#include <map>

#include "optim/clip.h"
#include "trainer/evaluate.h"

namespace hearth {

namespace {

/// Every weight becomes value(parameter, its index in the whole parameter).
template <class Value>
void fill(Groups& groups, Value value) {
  for (int i = 0; i < groups.count(); ++i) {
    groups.group(i).fill(FlatGroup::Part::weight, [&](const Parameter& parameter, const Stretch& where, float* out) {
      for (std::int64_t row = 0; row < where.rows; ++row) {
        const std::int64_t begin = where.begin + row * where.stride;
        for (std::int64_t at = begin; at < begin + where.columns; ++at) *out++ = value(parameter, at);
      }
    });
  }
}

void take(const VerifyWeights& weights, const std::vector<Parameter>& parameters, Groups& groups) {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < parameters.size(); ++i) places[parameters[i].name] = i;
  fill(groups, [&](const Parameter& parameter, std::int64_t at) {
    return weights[places.at(parameter.name)][static_cast<std::size_t>(at)];
  });
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

/// Weights and moments of everything that this rank keeps; the three in the same order.
struct KeptState {
  KeptState(const std::vector<Parameter>& parameters, const Groups& groups)
      : weights(kept(parameters, groups, &FlatGroup::Piece::weight)),
        firsts(kept(parameters, groups, &FlatGroup::Piece::first_moment)),
        seconds(kept(parameters, groups, &FlatGroup::Piece::second_moment)) {}
  VerifyState at(std::size_t piece, std::size_t i) const {
    return {weights[piece].values[i], firsts[piece].values[i], seconds[piece].values[i]};
  }

  std::vector<VerifyPiece> weights, firsts, seconds;
};

/// Both steps, held against AdamW.
std::vector<VerifyUpdate> updates_of(const std::vector<Parameter>& parameters, const AdamW& recipe,
                                     const KeptState& one, const KeptState& two) {
  std::vector<VerifyUpdate> updates;
  for (std::size_t p = 0; p < two.weights.size(); ++p) {
    const VerifyPiece& piece = two.weights[p];
    const Parameter& parameter = parameters[piece.parameter];
    AdamW first = recipe;
    first.rate = verify_rate;
    first.step = 1;
    if (!parameter.decayed) first.decay = 0;
    AdamW second = first;
    second.step = 2;
    VerifyUpdate sums{piece.parameter, piece.counted};
    for (std::int64_t i = 0; i < piece.where.elements(); ++i) {
      const std::int64_t at =
          piece.where.begin + i / piece.where.columns * piece.where.stride + i % piece.where.columns;
      const VerifyState start{verify_weight(parameter, at)};
      const VerifyState between = one.at(p, static_cast<std::size_t>(i));
      const VerifyState end = two.at(p, static_cast<std::size_t>(i));
      const VerifyMove a = verify_move(start, between, first);
      const VerifyMove b = verify_move(between, end, second);
      sums.off += (a.off + b.off) * (a.off + b.off);
      sums.allowed += (a.allowed + b.allowed) * (a.allowed + b.allowed);
      sums.change += (end.weight - start.weight) * (end.weight - start.weight);
    }
    updates.push_back(sums);
  }
  return updates;
}

/// The gradient before clipping that brought the first moments from `before` (null: from zero) to `after`.
std::vector<VerifyPiece> taken_up(const StepOptions& options, const KeptState* before, const KeptState& after,
                                  double norm) {
  const double scale = (1 - options.adamw.beta1) * clip_factor(norm, options.max_norm);
  std::vector<VerifyPiece> gradients = after.firsts;
  for (std::size_t p = 0; p < gradients.size(); ++p) {
    for (std::size_t i = 0; i < gradients[p].values.size(); ++i) {
      const double old = before == nullptr ? 0 : static_cast<double>(before->firsts[p].values[i]);
      float& value = gradients[p].values[i];
      value = static_cast<float>((static_cast<double>(value) - options.adamw.beta1 * old) / scale);
    }
  }
  return gradients;
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

VerifyResult verify_run(const VerifyPlan& plan, Dtype compute, Communicator& world, Backend& backend,
                        const VerifyPath* path) {
  Mesh mesh(world, plan.mesh);
  const Transformer model(plan.config, plan.label_smoothing, Init::normal,
                          {.tensor = plan.mesh.tensor, .context = plan.mesh.context});
  PlacedOptions placed = plan.placed;
  placed.compute = compute;
  ModelOnMesh on(model, mesh, placed, backend.ops(), backend.memory());
  fill(on.groups, verify_weight);
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
  KeptState one(result.parameters, on.groups);
  if (path != nullptr) take(path->after_one, result.parameters, on.groups);
  const StepResult second = stepper.step(1, plan.second_rows, verify_rate);
  KeptState two(result.parameters, on.groups);
  if (path != nullptr) take(path->after_two, result.parameters, on.groups);
  result.first_taken_up = taken_up(plan.step, nullptr, one, before.norm);
  result.second_gradients = taken_up(plan.step, &one, two, second.norm);
  result.carried = plan.step.adamw.beta1 * clip_factor(before.norm, plan.step.max_norm) /
                   clip_factor(second.norm, plan.step.max_norm);
  result.updates = updates_of(result.parameters, plan.step.adamw, one, two);
  result.weights_between = std::move(one.weights);
  result.weights = std::move(two.weights);
  result.numbers = {before.loss, before.norm, second.loss, second.norm, mean_loss(on.pipeline, plan.rows)};
  return result;
}

}  // namespace hearth
