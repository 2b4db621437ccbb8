#include "fake_training.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <mutex>
#include <thread>

#include "kernels/backend.h"
#include "parallel/global_norm.h"
#include "parallel/thread_world.h"

namespace hearth::test {

namespace {

constexpr float momentum = 0.9F;
constexpr float rate = 0.05F;

/// A block of the fake model: a group and one of its accumulators. Tied ends come first and last.
struct Use {
  std::size_t group;
  int accumulator;
};

std::vector<Use> uses_of(const FakeRun& run) {
  std::vector<Use> uses;
  for (std::size_t i = 0; i < run.groups.size(); ++i) uses.push_back({i, 0});
  for (std::size_t i = 0; i < run.groups.size(); ++i) {
    if (run.groups[i].accumulators == 2) uses.push_back({i, 1});
  }
  return uses;
}

double noise(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a * 0x9E3779B97F4A7C15U ^ (b + 0x632BE59BD9B4E019U) * 0xD1B54A32D192ED03U;
  x ^= x >> 31U;
  x *= 0xBF58476D1CE4E5B9U;
  x ^= x >> 29U;
  return static_cast<double>(x >> 40U) / 16777216.0 - 0.5;
}

float gradient_of(int step, int microbatch, const Use& use, std::size_t parameter, std::int64_t index, float weight) {
  const auto place = static_cast<std::uint64_t>(((step * 97 + microbatch) * 89 + static_cast<int>(use.group)) * 83 +
                                                use.accumulator * 41 + static_cast<int>(parameter));
  const auto size = static_cast<float>(std::int64_t{1} << (microbatch * 3));  // so that the order of microbatches shows
  return 0.3F * weight + size * static_cast<float>(noise(place, static_cast<std::uint64_t>(index)));
}

float initial(std::size_t group, std::size_t parameter, std::int64_t index) {
  return static_cast<float>(noise(1000 + group * 10 + parameter, static_cast<std::uint64_t>(index)));
}

float clip_factor(double norm) {
  return static_cast<float>(std::min(1.0, 40.0 / norm));
}

void update(float* weight, float* moment, const float* gradient, float factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    moment[i] = momentum * moment[i] + factor * gradient[i];
    weight[i] -= rate * moment[i];
  }
}

float value_at(In x, std::int64_t index) {
  return x.dtype == Dtype::f32 ? x.typed<float>()[index] : static_cast<float>(x.typed<Bf16>()[index]);
}

/// One rank's side of a run.
class Trainee {
 public:
  Trainee(const FakeRun& run, Communicator& data)
      : run_(run),
        data_(data),
        mesh_(data, {.data = data.size(), .shard = run.shard}),
        backend_(make_plain_backend()),
        pool_(backend_->ops(), backend_->memory(), run.poison),
        uses_(uses_of(run)),
        state_(static_cast<unsigned>(data.rank())) {
    for (std::size_t i = 0; i < run.groups.size(); ++i) {
      const FlatOptions options{static_cast<ZeroStage>(run.stage), run.compute, run.groups[i].accumulators, run.order};
      groups_.push_back(std::make_unique<FlatGroup>("group." + std::to_string(i), run.groups[i].parameters, options,
                                                    mesh_, backend_->ops(), backend_->memory(), pool_));
    }
  }

  void train(FakeResult& result, std::mutex& mutex);

 private:
  void start();
  void microbatch(int step, int index);
  void update_all(double norm);
  void collect(FakeResult& result);
  void maybe_sleep() {
    if (!run_.delays) return;
    state_ = state_ * 1664525U + 1013904223U;
    std::this_thread::sleep_for(std::chrono::microseconds(state_ >> 25U));
  }

  const FakeRun& run_;
  Communicator& data_;
  Mesh mesh_;
  std::unique_ptr<Backend> backend_;
  GatherPool pool_;
  std::vector<Use> uses_;
  std::vector<std::unique_ptr<FlatGroup>> groups_;
  unsigned state_;
};

void Trainee::start() {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const auto& parameters = run_.groups[i].parameters;
    groups_[i]->fill(FlatGroup::Part::weight, [&](const Parameter& parameter, const Stretch& where, float* out) {
      std::size_t place = 0;
      while (parameters[place].name != parameter.name) ++place;
      for (std::int64_t k = 0; k < where.columns; ++k) *out++ = initial(i, place, where.begin + k);
    });
  }
}

void Trainee::microbatch(int step, int index) {
  for (std::size_t i = 0; i < uses_.size(); ++i) {  // forward; the last block stays whole
    groups_[uses_[i].group]->whole();
    if (i + 1 < uses_.size()) groups_[uses_[i + 1].group]->prefetch();
    maybe_sleep();
    if (i + 1 < uses_.size()) groups_[uses_[i].group]->release();
  }
  for (std::size_t i = uses_.size(); i-- > 0;) {
    FlatGroup& group = *groups_[uses_[i].group];
    const auto weights = i + 1 == uses_.size() ? group.weights() : group.whole();
    if (i > 0) groups_[uses_[i - 1].group]->prefetch();
    maybe_sleep();
    const auto gradients = group.begin_gradients(uses_[i].accumulator);
    for (std::size_t parameter = 0; parameter < weights.size(); ++parameter) {
      float* gradient = gradients[parameter].typed<float>();
      for (std::int64_t k = 0; k < weights[parameter].elements(); ++k) {
        gradient[k] += gradient_of(step, index, uses_[i], parameter, k, value_at(weights[parameter], k));
      }
    }
    group.release();
    maybe_sleep();
    group.reduce(uses_[i].accumulator);
  }
}

void Trainee::update_all(double norm) {
  for (const auto& group : groups_) {
    for (const FlatGroup::Piece& piece : group->updated()) {
      update(piece.weight.typed<float>(), piece.first_moment.typed<float>(), piece.gradient.typed<float>(),
             clip_factor(norm), piece.weight.elements());
    }
    group->reset();
    group->publish();
  }
}

void Trainee::collect(FakeResult& result) {
  for (const auto& group : groups_) {
    for (const FlatGroup::Piece& piece : group->owned()) {
      const Parameter& parameter = group->parameters()[static_cast<std::size_t>(piece.parameter)];
      const auto size = static_cast<std::size_t>(parameter.full.elements());
      auto& weights = result.weights[parameter.name];
      auto& moments = result.moments[parameter.name];
      weights.resize(size, std::nanf(""));
      moments.resize(size, std::nanf(""));
      for (std::int64_t i = 0; i < piece.weight.elements(); ++i) {
        const auto at = static_cast<std::size_t>(piece.offset + i);
        EXPECT_TRUE(std::isnan(weights[at])) << "an element with two owners";
        weights[at] = piece.weight.typed<float>()[i];
        moments[at] = piece.first_moment.typed<float>()[i];
      }
    }
  }
}

void Trainee::train(FakeResult& result, std::mutex& mutex) {
  start();
  std::vector<GlobalNorm::Member> members;
  for (const auto& group : groups_) members.push_back({group.get(), static_cast<int>(members.size())});
  GlobalNorm norm(members, static_cast<int>(members.size()), mesh_, backend_->memory());
  std::vector<double> norms;
  std::uint64_t takes = 0;
  for (int step = 0; step < run_.steps; ++step) {
    for (int index = data_.rank(); index < run_.microbatches; index += data_.size()) microbatch(step, index);
    for (const auto& group : groups_) group->finish();
    const Tensor measured = norm.measure();
    EXPECT_EQ(measured.typed<double>()[1], -1);
    norms.push_back(measured.typed<double>()[0]);
    update_all(norms.back());
    if (step == 0) takes = backend_->memory().takes();
  }
  const std::uint64_t late = backend_->memory().takes() - takes;
  data_.barrier();
  const std::lock_guard lock(mutex);
  collect(result);
  result.peaks[static_cast<std::size_t>(data_.rank())] = backend_->memory().peak();
  result.takes_when_warm[static_cast<std::size_t>(data_.rank())] = late;
  if (result.norms.empty()) result.norms = norms;
  EXPECT_EQ(result.norms, norms) << "ranks disagree about the norm";
  if (data_.rank() == 0) {
    result.traffic = mesh_.sums().traffic();
    for (const Traffic& more : {mesh_.shard().traffic(), mesh_.replicas().traffic()}) {
      result.traffic.gather.calls += more.gather.calls;
      result.traffic.gather.bytes += more.gather.bytes;
    }
  }
}

double plain_norm(const std::vector<std::vector<float>>& gradients) {
  double total = 0;
  for (const auto& flat : gradients) {
    double sum = 0;
    for (std::size_t first = 0; first < flat.size(); first += norm_chunk) {
      double chunk = 0;
      for (std::size_t i = first; i < std::min(flat.size(), first + norm_chunk); ++i) {
        chunk += static_cast<double>(flat[i]) * static_cast<double>(flat[i]);
      }
      sum += chunk;
    }
    total += sum;
  }
  return std::sqrt(total);
}

/// All parameters of a group end to end.
struct Flat {
  std::vector<float> weights;
  std::vector<float> moments;
  std::vector<std::vector<float>> sums;  // by accumulator
};

void plain_microbatch(const FakeRun& run, std::vector<Flat>& flats, int step, int index) {
  for (const Use& use : uses_of(run)) {
    Flat& flat = flats[use.group];
    std::vector<float>& sum = flat.sums[static_cast<std::size_t>(use.accumulator)];
    std::size_t place = 0;
    for (std::size_t parameter = 0; parameter < run.groups[use.group].parameters.size(); ++parameter) {
      for (std::int64_t k = 0; k < run.groups[use.group].parameters[parameter].full.elements(); ++k, ++place) {
        float weight = flat.weights[place];
        if (run.compute == Dtype::bf16) weight = static_cast<float>(Bf16(weight));
        sum[place] += gradient_of(step, index, use, parameter, k, weight);
      }
    }
  }
}

}  // namespace

Parameter flat_parameter(std::string name, std::int64_t elements) {
  Parameter parameter;
  parameter.name = std::move(name);
  parameter.full = {elements};
  return parameter;
}

std::vector<FakeGroup> uneven_groups() {
  return {{{flat_parameter("ends", 1031)}, 2},
          {{flat_parameter("a.one", 1), flat_parameter("a.prime", 257), flat_parameter("a.long", 1021)}, 1},
          {{flat_parameter("b.single", 1)}, 1},
          {{flat_parameter("c.two", 2), flat_parameter("c.chunk", 256), flat_parameter("c.none", 0)}, 1},
          {{flat_parameter("d.even", 2048)}, 1}};
}

FakeResult train(const FakeRun& run) {
  FakeResult result;
  result.peaks.resize(static_cast<std::size_t>(run.ranks));
  result.takes_when_warm.resize(static_cast<std::size_t>(run.ranks));
  std::mutex mutex;
  ThreadWorld(run.ranks).run([&](Communicator& data) { Trainee(run, data).train(result, mutex); });
  return result;
}

FakeResult train_rank(const FakeRun& run, Communicator& data) {
  FakeResult result;
  result.peaks.resize(static_cast<std::size_t>(data.size()));
  result.takes_when_warm.resize(static_cast<std::size_t>(data.size()));
  std::mutex mutex;
  Trainee(run, data).train(result, mutex);
  return result;
}

FakeResult train_plainly(const FakeRun& run) {
  FakeResult result;
  std::vector<Flat> flats(run.groups.size());
  for (std::size_t i = 0; i < flats.size(); ++i) {
    for (std::size_t parameter = 0; parameter < run.groups[i].parameters.size(); ++parameter) {
      const std::int64_t size = run.groups[i].parameters[parameter].full.elements();
      for (std::int64_t k = 0; k < size; ++k) flats[i].weights.push_back(initial(i, parameter, k));
    }
    flats[i].moments.resize(flats[i].weights.size());
  }
  for (int step = 0; step < run.steps; ++step) {
    for (std::size_t i = 0; i < flats.size(); ++i) {
      flats[i].sums.assign(static_cast<std::size_t>(run.groups[i].accumulators),
                           std::vector<float>(flats[i].weights.size()));
    }
    for (int index = 0; index < run.microbatches; ++index) plain_microbatch(run, flats, step, index);
    std::vector<std::vector<float>> gradients;
    for (const Flat& flat : flats) {
      gradients.push_back(flat.sums[0]);
      if (flat.sums.size() < 2) continue;
      for (std::size_t k = 0; k < gradients.back().size(); ++k) gradients.back()[k] += flat.sums[1][k];
    }
    result.norms.push_back(plain_norm(gradients));
    for (std::size_t i = 0; i < flats.size(); ++i) {
      update(flats[i].weights.data(), flats[i].moments.data(), gradients[i].data(), clip_factor(result.norms.back()),
             static_cast<std::int64_t>(gradients[i].size()));
    }
  }
  for (std::size_t i = 0; i < flats.size(); ++i) {
    auto weight = flats[i].weights.begin();
    auto moment = flats[i].moments.begin();
    for (const Parameter& parameter : run.groups[i].parameters) {
      const std::int64_t size = parameter.full.elements();
      if (size > 0) {
        result.weights[parameter.name] = {weight, weight + size};
        result.moments[parameter.name] = {moment, moment + size};
      }
      weight += size;
      moment += size;
    }
  }
  return result;
}

}  // namespace hearth::test
