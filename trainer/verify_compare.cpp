#include "trainer/verify_compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace hearth {

namespace {

/// What is not a number is as wrong as can be.
double clean(double error) {
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
}

std::vector<std::vector<float>> joined(const std::vector<Parameter>& parameters,
                                       const std::vector<VerifyPiece>& pieces) {
  std::vector<std::vector<float>> whole;
  whole.reserve(parameters.size());
  for (const Parameter& parameter : parameters) whole.emplace_back(static_cast<std::size_t>(parameter.full.elements()));
  for (const VerifyPiece& piece : pieces) {
    for (std::int64_t i = 0; i < piece.where.elements(); ++i) {
      const std::int64_t at =
          piece.where.begin + i / piece.where.columns * piece.where.stride + i % piece.where.columns;
      whole[piece.parameter][static_cast<std::size_t>(at)] = piece.values[static_cast<std::size_t>(i)];
    }
  }
  return whole;
}

/// Sums of squares of what this rank's pieces of each parameter are off by.
struct Deviation {
  std::vector<double> counted;  // of pieces that count
  std::vector<double> kept;     // of all that this rank keeps

  /// The larger of both, one by one.
  void widen(const Deviation& other) {
    const auto larger = [](double a, double b) { return std::max(a, b); };
    std::transform(counted.begin(), counted.end(), other.counted.begin(), counted.begin(), larger);
    std::transform(kept.begin(), kept.end(), other.kept.begin(), kept.begin(), larger);
  }
};

void deviate(const VerifyPiece& piece, std::span<const float> truth, Deviation& deviation) {
  double sum = 0;
  for (std::int64_t i = 0; i < piece.where.elements(); ++i) {
    const std::int64_t at = piece.where.begin + i / piece.where.columns * piece.where.stride + i % piece.where.columns;
    const double d = static_cast<double>(piece.values[static_cast<std::size_t>(i)]) -
                     static_cast<double>(truth[static_cast<std::size_t>(at)]);
    sum += d * d;
  }
  deviation.kept[piece.parameter] += clean(sum);
  if (piece.counted) deviation.counted[piece.parameter] += clean(sum);
}

double length(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

/// The scale of an error of one parameter, and what of it is allowed, both in the parameter's own unit.
struct Scale {
  double unit = 0;
  double allowed = 0;
};

/// The whole of what the first rank has, on all ranks, one parameter at a time.
std::vector<float> handed_out(const std::vector<std::vector<float>>& from, std::size_t parameter, std::int64_t elements,
                              Communicator& world) {
  std::vector<float> values(static_cast<std::size_t>(elements), 0.0F);
  if (world.rank() == 0) values = from[parameter];
  world.sum(Tensor(values.data(), Dtype::f32, {elements})).wait();  // the others have zeros
  return values;
}

class Comparison {
 public:
  Comparison(const VerifyOracle& oracle, const VerifyResult& mine, const VerifyBounds& bounds, Dtype compute,
             Communicator& world)
      : oracle_(oracle), mine_(mine), bounds_(bounds), compute_(compute), world_(world) {}

  void numbers();
  void gradients();
  void later_gradients();  // after gradients()
  void weights();
  std::vector<VerifyCheck> checks;

 private:
  /// Pieces of this rank against the oracle's whole.
  struct Measured {
    Deviation deviation;
    std::vector<double> lengths;  // of the oracle's, by parameter
  };
  Measured measured(const std::vector<std::vector<float>>& oracle, const std::vector<VerifyPiece>& pieces) const;
  std::vector<double> gathered(std::vector<double> mine) const;
  std::vector<double> summed_over_runs(const std::vector<double>& counted) const;
  std::vector<double> units_of(const std::vector<double>& lengths) const;
  double allowed_of(VerifyNumber number) const;
  void add(const char* what, const Deviation& deviation, const std::vector<Scale>& scales);
  void weights_to_the_bit();

  const VerifyOracle& oracle_;
  const VerifyResult& mine_;
  const VerifyBounds& bounds_;
  Dtype compute_;
  Communicator& world_;
  std::vector<double> first_units_;  // of the first step's gradients, by parameter
};

/// Every rank's numbers, in rank order.
std::vector<double> Comparison::gathered(std::vector<double> mine) const {
  const auto count = static_cast<std::int64_t>(mine.size());
  std::vector<double> all(mine.size() * static_cast<std::size_t>(world_.size()));
  world_.gather(Tensor(mine.data(), Dtype::f64, {count}), Tensor(all.data(), Dtype::f64, {count * world_.size()}))
      .wait();
  return all;
}

double Comparison::allowed_of(VerifyNumber number) const {
  const bool norm = number == VerifyNumber::norm || number == VerifyNumber::norm_after_one;
  return norm ? bounds_.gradient : bounds_.loss;
}

void Comparison::numbers() {
  std::vector<double> known(verify_numbers, 0.0);
  if (world_.rank() == 0) known.assign(oracle_.numbers.begin(), oracle_.numbers.end());
  const std::vector<double> truth = gathered(known);  // the first rank's come first
  const std::vector<double> all = gathered({mine_.numbers.begin(), mine_.numbers.end()});
  for (std::size_t i = 0; i < verify_numbers; ++i) {
    const auto number = static_cast<VerifyNumber>(i);
    VerifyCheck check{compute_, name_of(number), 0, allowed_of(number), "", 0};
    for (int rank = 0; rank < world_.size(); ++rank) {
      const double value = all[static_cast<std::size_t>(rank) * verify_numbers + i];
      const double error = value == truth[i] ? 0 : clean(std::abs(value / truth[i] - 1));
      if (error > check.error) check.rank = rank;
      check.error = std::max(check.error, error);
    }
    checks.push_back(check);
  }
}

/// By parameter: sums of what counts, over the ranks of one run.
std::vector<double> Comparison::summed_over_runs(const std::vector<double>& counted) const {
  const std::vector<double> all = gathered(counted);
  std::vector<double> sums(counted.size(), 0.0);
  for (std::size_t i = 0; i < all.size(); ++i) sums[i % counted.size()] += all[i];
  for (double& sum : sums) sum /= world_.size() / mine_.ranks;
  return sums;
}

void Comparison::add(const char* what, const Deviation& deviation, const std::vector<Scale>& scales) {
  const std::size_t count = scales.size();
  std::vector<double> both = deviation.counted;
  both.insert(both.end(), deviation.kept.begin(), deviation.kept.end());
  const std::vector<double> all = gathered(both);
  VerifyCheck worst{compute_, what, 0, 0, "", 0};
  double worst_share = -1;                       // of what is allowed
  const int runs = world_.size() / mine_.ranks;  // side by side; each counts every element once
  for (std::size_t p = 0; p < count; ++p) {
    double counted = 0;
    double kept = 0;
    int rank = 0;
    for (int r = 0; r < world_.size(); ++r) {
      const double* of_rank = all.data() + static_cast<std::size_t>(r) * 2 * count;
      counted += of_rank[p];
      if (of_rank[count + p] > kept) rank = r;
      kept = std::max(kept, of_rank[count + p]);
    }
    const double off = std::sqrt(std::max(counted / runs, kept));
    const double error = off == 0 ? 0 : clean(off / scales[p].unit);
    const bool finite = std::isfinite(scales[p].allowed) && scales[p].unit > 0;
    const double allowed = finite ? scales[p].allowed / scales[p].unit : 0;
    const double share = allowed > 0 ? error / allowed : error;
    if (share <= worst_share) continue;
    worst_share = share;
    worst = {compute_, what, error, allowed, mine_.parameters[p].name, rank};
  }
  checks.push_back(worst);
}

Comparison::Measured Comparison::measured(const std::vector<std::vector<float>>& oracle,
                                          const std::vector<VerifyPiece>& pieces) const {
  const std::size_t count = mine_.parameters.size();
  Measured found{{std::vector<double>(count, 0.0), std::vector<double>(count, 0.0)}, {}};
  for (std::size_t p = 0; p < count; ++p) {
    const std::vector<float> truth = handed_out(oracle, p, mine_.parameters[p].full.elements(), world_);
    found.lengths.push_back(length(truth));
    for (const VerifyPiece& piece : pieces) {
      if (piece.parameter == p) deviate(piece, truth, found.deviation);
    }
  }
  return found;
}

/// Where terms cancel (biases of keys) what is left may be rounding alone: never less than a hundredth of the mean.
std::vector<double> Comparison::units_of(const std::vector<double>& lengths) const {
  double squares = 0;
  double elements = 0;
  for (std::size_t p = 0; p < lengths.size(); ++p) {
    squares += lengths[p] * lengths[p];
    elements += static_cast<double>(mine_.parameters[p].full.elements());
  }
  std::vector<double> units;
  for (std::size_t p = 0; p < lengths.size(); ++p) {
    const auto size = static_cast<double>(mine_.parameters[p].full.elements());
    const double floor = bounds_.to_the_bit ? 0 : 0.01 * std::sqrt(squares * size / elements);
    units.push_back(std::max(lengths[p], floor));
  }
  return units;
}

/// Where no bits are promised also what the update took up of them, which the weights are held to later.
void Comparison::gradients() {
  Measured found = measured(oracle_.gradients, mine_.gradients);
  const double rounded = bounds_.to_the_bit ? 0 : 8 * std::exp2(-24);
  if (!bounds_.to_the_bit) found.deviation.widen(measured(oracle_.gradients, mine_.first_taken_up).deviation);
  first_units_ = units_of(found.lengths);
  std::vector<Scale> scales;
  for (const double unit : first_units_) {
    scales.push_back({unit, (bounds_.gradient + rounded) * unit});  // 0 where everything is equal to the bit
  }
  add("gradient", found.deviation, scales);
}

/// Read off two first moments, which both runs round.
void Comparison::later_gradients() {
  const Measured found = measured(oracle_.second_gradients, mine_.second_gradients);
  const std::vector<double> units = units_of(found.lengths);
  const double carried = gathered({oracle_.carried})[0];  // the first rank's
  std::vector<Scale> scales;
  for (std::size_t p = 0; p < units.size(); ++p) {
    const double rounded = 8 * std::exp2(-24) * (carried * first_units_[p] + units[p]);
    scales.push_back({units[p], bounds_.to_the_bit ? 0 : bounds_.gradient * units[p] + rounded});
  }
  add("gradient after one step", found.deviation, scales);
}

void Comparison::weights_to_the_bit() {
  const Measured found = measured(oracle_.weights, mine_.weights);
  std::vector<Scale> scales;
  for (std::size_t p = 0; p < mine_.parameters.size(); ++p) {
    const Parameter& parameter = mine_.parameters[p];
    std::vector<float> change = handed_out(oracle_.weights, p, parameter.full.elements(), world_);
    for (std::size_t i = 0; i < change.size(); ++i) {
      change[i] -= verify_weight(parameter, static_cast<std::int64_t>(i));
    }
    scales.push_back({length(change), 0});
  }
  add("change of weights in two steps", found.deviation, scales);
}

/// Where no bits are promised each rank's update is held to the gradients that it used itself, which are held to the
/// oracle's already: Adam divides by the size of a gradient, so where that is near zero the weights of two sound runs
/// may be any distance apart.
void Comparison::weights() {
  if (bounds_.to_the_bit) {
    weights_to_the_bit();
    return;
  }
  const std::size_t count = mine_.parameters.size();
  Deviation off{std::vector<double>(count, 0.0), std::vector<double>(count, 0.0)};
  std::vector<double> allowed(count, 0.0);
  std::vector<double> change(count, 0.0);
  for (const VerifyUpdate& update : mine_.updates) {
    off.kept[update.parameter] += clean(update.off);
    if (!update.counted) continue;
    off.counted[update.parameter] += clean(update.off);
    allowed[update.parameter] += update.allowed;
    change[update.parameter] += update.change;
  }
  allowed = summed_over_runs(allowed);
  change = summed_over_runs(change);
  std::vector<Scale> scales;
  for (std::size_t p = 0; p < count; ++p) {
    scales.push_back({std::sqrt(std::max(change[p], allowed[p])), std::sqrt(allowed[p])});
  }
  add("change of weights in two steps", off, scales);
}

}  // namespace

VerifyOracle oracle_of(const VerifyResult& alone) {
  return {alone.numbers, joined(alone.parameters, alone.gradients), joined(alone.parameters, alone.second_gradients),
          alone.carried, joined(alone.parameters, alone.weights)};
}

VerifyPath path_of(const VerifyResult& mine, bool of_it, Communicator& world) {
  const auto whole = [&](std::vector<VerifyPiece> pieces) {
    std::erase_if(pieces, [&](const VerifyPiece& piece) { return !of_it || !piece.counted; });
    VerifyWeights weights = joined(mine.parameters, pieces);
    for (std::vector<float>& values : weights) {  // each element on one rank, zero on the others
      world.sum(Tensor(values.data(), Dtype::f32, {static_cast<std::int64_t>(values.size())})).wait();
    }
    return weights;
  };
  return {whole(mine.weights_between), whole(mine.weights)};
}

VerifyBounds verify_bounds(const VerifyPlan& plan, Dtype compute) {
  if (plan.one_kind && plan.mesh.tensor == 1 && plan.mesh.context == 1 && plan.placed.order == SumOrder::fixed) {
    return {.why = "to the bit: no tensor or context axis, sums in the fixed order"};
  }
  const ModelConfig& config = plan.config;
  std::int64_t tokens = 0;
  for (const std::int64_t row : plan.first_rows) tokens += plan.rows.tokens(row);
  const auto terms =
      static_cast<double>(std::max({tokens, config.width, config.hidden, config.vocabulary, config.query_width()}));
  const double depth = 12.0 * static_cast<double>(config.layers) + 4;
  if (compute == Dtype::bf16) {
    const double loss = 8 * std::exp2(-9);
    const double gradient = loss * std::sqrt(3 * depth);
    return {loss, gradient, false,
            fmt::format("8 v for losses, 8 v sqrt(3 d) for gradients; v = 2^-9, d = {:.0f}", depth)};
  }
  const double u = std::exp2(-24);
  const double loss = 8 * u * std::sqrt(terms);
  const double gradient = loss * std::sqrt(3 * depth);
  return {loss, gradient, false,
          fmt::format("8 u sqrt(n) for losses, 8 u sqrt(3 n d) for gradients; u = 2^-24, n = {:.0f}, d = {:.0f}", terms,
                      depth)};
}

std::vector<VerifyCheck> verify_compare(const VerifyOracle& oracle, const VerifyResult& mine,
                                        const VerifyBounds& bounds, Dtype compute, Communicator& world) {
  Comparison comparison(oracle, mine, bounds, compute, world);
  comparison.numbers();
  comparison.gradients();
  comparison.weights();  // before what follows from them: a wrong update is to be named itself
  comparison.later_gradients();
  return std::move(comparison.checks);
}

}  // namespace hearth
