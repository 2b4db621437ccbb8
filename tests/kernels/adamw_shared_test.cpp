// AdamW against recorded trajectories of torch in f64.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "kernels/backend.h"
#include "support/shared.h"

namespace hearth::test {
namespace {

using Json = nlohmann::json;

// Tensors of a small trusted safetensors file, as doubles.
class Recorded {
 public:
  explicit Recorded(const Path& path) : text_(read_text(path)) {
    std::uint64_t length = 0;
    std::memcpy(&length, text_.data(), sizeof length);
    begin_ = sizeof length + length;
    header_ = Json::parse(text_.substr(sizeof length, length));
  }
  std::vector<double> values(const std::string& name) const {
    const Json& entry = header_.at(name);
    const std::size_t from = entry.at("data_offsets")[0], to = entry.at("data_offsets")[1];
    const bool doubles = entry.at("dtype") == "F64";
    const std::size_t size = doubles ? sizeof(double) : sizeof(float);
    std::vector<double> values;
    for (std::size_t at = from; at < to; at += size) {
      double wide = 0;
      float narrow = 0;
      std::memcpy(doubles ? static_cast<void*>(&wide) : &narrow, text_.data() + begin_ + at, size);
      values.push_back(doubles ? wide : static_cast<double>(narrow));
    }
    return values;
  }

 private:
  std::string text_;
  std::size_t begin_ = 0;
  Json header_;
};

class Trajectory : public testing::TestWithParam<int> {
 protected:
  // Weights after each step and final moments, computed by a backend in T.
  template <class T>
  void follow(Backend& backend, double unit) {
    const Path folder = shared() / "golden" / "optim";
    const Recorded recorded(folder / "adamw.safetensors");
    const std::string name = "case" + std::to_string(GetParam());
    const Json settings =
        Json::parse(read_text(folder / "adamw.json")).at("cases").at(static_cast<std::size_t>(GetParam()));
    AdamW update{.rate = settings.at("lr"),
                 .beta1 = settings.at("betas")[0],
                 .beta2 = settings.at("betas")[1],
                 .epsilon = settings.at("eps"),
                 .decay = settings.at("weight_decay")};
    const std::size_t count = settings.at("elements"), steps = settings.at("steps");
    const std::vector<double> gradients = recorded.values(name + ".gradients");
    const std::vector<double> weights = recorded.values(name + ".weights");
    const std::vector<double> start = recorded.values(name + ".weight0");
    std::vector<T> weight(start.begin(), start.end()), first(count), second(count), gradient(count);
    std::vector<T> control{1, 1};
    const auto view = [](std::vector<T>& values) {
      return Tensor(values.data(), DtypeOf<T>::value, {static_cast<std::int64_t>(values.size())});
    };
    for (std::size_t step = 0; step < steps; ++step) {
      for (std::size_t i = 0; i < count; ++i) gradient[i] = static_cast<T>(gradients[step * count + i]);
      update.step = static_cast<std::int64_t>(step) + 1;
      backend.ops().adamw(view(gradient), view(control), update, view(weight), view(first), view(second));
      for (std::size_t i = 0; i < count; ++i) {
        const double right = weights[step * count + i];
        // Every step rounds the weight twice, and a step of at most about ten rates is itself right to a few roundings.
        const double allowed = static_cast<double>(step + 1) * unit * (2 * std::abs(right) + 64 * update.rate);
        ASSERT_NEAR(static_cast<double>(weight[i]), right, allowed) << "step " << step + 1 << ", element " << i;
      }
    }
    const std::vector<double> firsts = recorded.values(name + ".m"), seconds = recorded.values(name + ".v");
    double largest_first = 0;
    for (const double value : firsts) largest_first = std::max(largest_first, std::abs(value));
    for (std::size_t i = 0; i < count; ++i) {
      // m is a sum of both signs, of gradients up to 1e2; v one of positive terms.
      ASSERT_NEAR(static_cast<double>(first[i]), firsts[i], 8 * unit * std::max(1e2, largest_first));
      ASSERT_NEAR(static_cast<double>(second[i]), seconds[i],
                  4 * static_cast<double>(steps) * unit * seconds[i] + 1e-37);
    }
  }
};

TEST_P(Trajectory, IsFollowedByTheTruth) {
  follow<double>(*make_plain_backend(), 0x1p-53);
}

TEST_P(Trajectory, IsFollowedInF32) {
  follow<float>(*make_cpu_backend({.threads = 2}), 0x1p-24);
}

INSTANTIATE_TEST_SUITE_P(Torch, Trajectory, testing::Range(0, 4));

}  // namespace
}  // namespace hearth::test
