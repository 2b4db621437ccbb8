// The dense architectures against transformers in float64: logits, losses, every gradient, packed documents, greedy
// ids, five AdamW steps. Bounds for f32 are those that the known answers state.
//
// bf16: each stored number carries a relative error of up to u = 2^-9 (8 bits). A value that has gone through d
// roundings, independent of each other, is off by about u * sqrt(d) of its size; a layer rounds about 12 tensors on the
// way of the residual (norm, q, k, v, rotation, attention, output, residual, norm, gate, up, activation, down,
// residual), so d = 12 L + 4 forward, and three times that backward. Single elements go up to 4 such deviations. Losses
// average over many tokens: their error is that of a mean, an order below that of logits.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "model/decode.h"
#include "model/hf/names.h"
#include "support/shared.h"
#include "support/worse.h"
#include "trainer/evaluate.h"
#include "trainer/golden_model.h"
#include "trainer/probe.h"

namespace hearth {
namespace {

using test::Bench;
using test::Expected;

Path folder_of(const std::string& name) {
#ifdef HEARTH_GOLDEN_REDUCED
  return test::data() / "golden" / "models" / name;
#else
  return test::shared() / "golden" / "models" / name;
#endif
}

struct Bounds {
  double logits, loss, gradient;
};

Bounds bounds_of(const Bench& bench, Dtype dtype) {
  if (dtype == Dtype::f32) return {2e-6, 2e-6, 1e-5};
  const double depth = 12.0 * static_cast<double>(bench.model->config().layers) + 4;
  const double u = std::exp2(-9);
  return {4 * u * std::sqrt(depth), u, 4 * u * std::sqrt(3 * depth)};
}

class Golden : public testing::TestWithParam<std::tuple<std::string, Dtype>> {
 protected:
  Golden() : expected_(folder_ / "expected.safetensors"), alone_(make_self_communicator()) {}

  Bench bench(double smoothing = 0) {
    return {folder_, {.compute = dtype_, .recompute = 2, .smoothing = smoothing}, *alone_, 256};
  }

  void compare(const Probed& probed, const std::string& prefix, Bench& on) {
    const Bounds bounds = bounds_of(on, dtype_);
    const auto logits = expected_.floats(prefix + "logits");
    double largest = 0;
    for (const float logit : logits) largest = std::max(largest, std::abs(static_cast<double>(logit)));
    std::size_t at = 0;
    double worst = 0;
    for (const auto& row : probed.logits) {
      for (const float logit : row) worst = test::worse(worst, std::abs(static_cast<double>(logit) - logits[at++]));
    }
    EXPECT_EQ(at, logits.size());
    EXPECT_LT(worst, bounds.logits * largest) << prefix << "logits";
    const double loss = expected_.doubles(prefix + "loss")[0];
    EXPECT_LT(std::abs(*probed.loss - loss), bounds.loss * loss) << prefix << "loss";
    double worst_gradient = 0;
    std::size_t compared = 0;
    for (const auto& [name, gradient] : probed.gradients) {
      const std::string foreign = prefix + "gradient." + hf::foreign_name(name);
      if (!expected_.has(foreign)) continue;
      ++compared;
      const double error = test::relative_error(gradient, expected_.floats(foreign));
      worst_gradient = test::worse(worst_gradient, error);
      EXPECT_LT(error, bounds.gradient) << foreign;
    }
    if (prefix.empty()) {
      EXPECT_EQ(compared, probed.gradients.size()) << "every gradient has its known answer";
    }
    RecordProperty(prefix + "worst", fmt::format("logits {:.1e} loss {:.1e} gradient {:.1e}", worst / largest,
                                                 std::abs(*probed.loss / loss - 1), worst_gradient));
    fmt::print("{:<20} {:<4} {:<7} logits {:.1e}  loss {:.1e}  gradient {:.1e}\n", std::get<0>(GetParam()),
               name_of(dtype_), prefix, worst / largest, std::abs(*probed.loss / loss - 1), worst_gradient);
  }

  Path folder_ = folder_of(std::get<0>(GetParam()));
  Dtype dtype_ = std::get<1>(GetParam());
  Expected expected_;
  std::unique_ptr<Communicator> alone_;
};

TEST_P(Golden, Batch) {
  Bench on = bench();
  const ListedRows rows(test::batch_rows(expected_, 0));
  const Probed probed = probe(on.on->pipeline, on.on->groups, rows, {.gradients = true});
  EXPECT_EQ(probed.gradients.size(), on.model->parameters().size());
  compare(probed, "", on);
}

TEST_P(Golden, Packed) {
  Bench on = bench();
  const ListedRows rows({test::packed_row(expected_)});
  compare(probe(on.on->pipeline, on.on->groups, rows, {.gradients = true}), "packed.", on);
}

TEST_P(Golden, LabelSmoothing) {
  Bench on = bench(0.1);
  const ListedRows rows(test::batch_rows(expected_, 0));
  const double loss = mean_loss(on.on->pipeline, rows);
  const double known = expected_.doubles("loss_label_smoothing_0.1")[0];
  EXPECT_LT(std::abs(loss - known), bounds_of(on, dtype_).loss * known);
}

TEST_P(Golden, FiveSteps) {
  Bench on = bench();
  std::vector<Row> all;
  for (std::size_t k = 0; k < 5; ++k) {
    for (Row& row : test::batch_rows(expected_, k)) all.push_back(std::move(row));
  }
  const auto batch = static_cast<std::int64_t>(all.size() / 5);
  const ListedRows rows(std::move(all));
  const auto stepper = on.stepper(rows, batch);
  const auto losses = expected_.doubles("train.losses");
  const auto norms = expected_.doubles("train.gradient_norms");
  // Losses of later steps inherit the moved weights' errors: the known answers ask for 1e-5 in f32.
  const double bound = dtype_ == Dtype::f32 ? 1e-5 : 4 * bounds_of(on, dtype_).loss;
  const double norm_bound = dtype_ == Dtype::f32 ? 1e-4 : bounds_of(on, dtype_).gradient;
  std::uint64_t warm = 0;
  for (std::int64_t k = 0; k < 5; ++k) {
    if (k == 2) warm = on.backend->memory().takes();
    std::vector<std::int64_t> chosen(static_cast<std::size_t>(batch));
    std::iota(chosen.begin(), chosen.end(), k * batch);
    const StepResult result = stepper->step(k, chosen, 2e-3);
    EXPECT_TRUE(result.updated);
    const auto at = static_cast<std::size_t>(k);
    EXPECT_LT(std::abs(result.loss - losses[at]), bound * losses[at]) << "step " << k;
    EXPECT_LT(std::abs(result.norm - norms[at]), norm_bound * norms[at]) << "step " << k;
  }
  EXPECT_EQ(on.backend->memory().takes(), warm) << "a warm step takes no memory";
  const ListedRows first(test::batch_rows(expected_, 0));
  const double after = mean_loss(on.on->pipeline, first);
  EXPECT_LT(std::abs(after - expected_.doubles("train.loss_after")[0]), bound * after);
  if (dtype_ != Dtype::f32) return;
  const hf::SafetensorsFile before(folder_ / "model.safetensors");
  double worst = 0;
  collect(
      *on.model, on.on->groups, *on.mesh, [](const FlatGroup::Piece& piece) { return piece.weight; },
      [&](const Parameter& parameter, std::span<const float> values) {
        const std::string foreign = hf::foreign_name(parameter.name);
        if (!expected_.has("train.weight." + foreign)) return;
        std::vector<float> start(values.size());
        before.read_f32(foreign, 0, parameter.full.elements(), start.data());
        std::vector<float> moved(values.size());
        std::vector<float> known = expected_.floats("train.weight." + foreign);
        for (std::size_t i = 0; i < moved.size(); ++i) {
          moved[i] = values[i] - start[i];
          known[i] -= start[i];
        }
        worst = test::worse(worst, test::relative_error(moved, known));
        EXPECT_LT(test::relative_error(moved, known), 1e-2) << foreign;
      });
  fmt::print("{:<20} {:<4} worst change of a weight over five steps {:.1e}\n", std::get<0>(GetParam()), name_of(dtype_),
             worst);
}

TEST_P(Golden, Greedy) {
  if (dtype_ != Dtype::f32) return;  // the known ids are those of float64; bf16 may break near-ties otherwise
  Bench on = bench();
  const auto prompt = expected_.ids("greedy.prompt");
  const auto ids = expected_.ids("greedy.ids");
  Decoder decoder(*on.model, on.on->groups, on.backend->ops(), on.backend->memory(), dtype_, 64);
  auto logits = decoder.append(prompt);
  for (const std::int32_t id : ids) {
    const std::int32_t next = sample(logits, {}, 0);
    EXPECT_EQ(next, id);
    logits = decoder.append(std::array{next});
  }
}

INSTANTIATE_TEST_SUITE_P(All, Golden,
                         testing::Combine(testing::Values("llama-gqa", "llama-tied", "llama3-rope-scaling", "qwen2",
                                                          "qwen2-yarn", "qwen3", "mistral-window"),
                                          testing::Values(Dtype::f32, Dtype::bf16)),
                         [](const auto& of) {
                           std::string name = std::get<0>(of.param) + "_" + std::string(name_of(std::get<1>(of.param)));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace hearth
