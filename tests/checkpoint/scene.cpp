#include "checkpoint/scene.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>

#include "base/random.h"
#include "parallel/thread_world.h"

namespace hearth::test {

Scene::Scene(std::uint64_t seed, bool moments) : seed_(seed), moments_(moments) {
  dims_ = {{"embedding", {31, 7}}, {"layers.0.attention.query", {13, 11}}, {"layers.0.mlp.experts", {2, 3, 5, 7}},
           {"layers.0.norm", {7}}, {"layers.10.attention.query", {17, 1}}, {"scale", {1}}};
}

float Scene::value(Role role, const std::string& name, std::int64_t index) const {
  const std::uint64_t word =
      Key(seed_).with(name).with(static_cast<std::uint64_t>(role)).word(static_cast<std::uint64_t>(index));
  // Any bits: a checkpoint carries NaNs, infinities and denormals as well.
  return std::bit_cast<float>(static_cast<std::uint32_t>(word));
}

RunState Scene::state(std::int64_t step) const {
  RunState state;
  state.step = step;
  state.row = step * 12;
  state.rows_of_epoch = 1000003;
  state.microbatches = 4;
  state.microbatch_rows = 3;
  state.seed = std::numeric_limits<std::uint64_t>::max() - seed_;
  state.tokens = step * 4096;
  state.trained_tokens = step * 4000;
  state.last_loss = 0.1 + static_cast<double>(step) / 3;
  state.best_eval_loss = std::numeric_limits<double>::infinity();
  state.recipe = "model: \"企业\"\nseed: " + std::to_string(seed_) + "\n";
  state.more = {{"scheduler", {{"decayed", true}, {"rate", 1.0 / 3}}}, {"names", {"a", "b"}}};
  return state;
}

CarriedFiles Scene::carried() const {
  return {{"config.json", "{\"model_type\": \"llama\"}\n"}, {"recipe.yaml", state(0).recipe}, {"empty", ""}};
}

Scene::Owned Scene::owned(int rank, int ranks, std::uint64_t cuts) const {
  std::int64_t total = 0;
  for (const auto& [name, dims] : dims_) total += dims.elements();
  std::vector<std::int64_t> places{0};
  const Key key = Key(cuts).with("cuts");
  for (int i = 1; i < ranks; ++i) {
    places.push_back(
        static_cast<std::int64_t>(key.below(static_cast<std::uint64_t>(total), static_cast<std::uint64_t>(i))));
  }
  places.push_back(total);
  std::sort(places.begin(), places.end());
  const std::int64_t first = places[static_cast<std::size_t>(rank)];
  const std::int64_t last = places[static_cast<std::size_t>(rank) + 1];
  Owned owned;
  std::int64_t at = 0;
  for (const auto& [name, dims] : dims_) {
    const std::int64_t begin = std::clamp(first - at, std::int64_t{0}, dims.elements());
    const std::int64_t end = std::clamp(last - at, std::int64_t{0}, dims.elements());
    at += dims.elements();
    if (begin == end) continue;
    SavedPiece piece{name, dims, {begin, 1, end - begin, 0}, {}, {}, {}};
    for (const Role role : roles) {
      if (role != Role::weight && !moments_) continue;
      auto& values = owned.storage.emplace_back();
      for (std::int64_t i = begin; i < end; ++i) values.push_back(value(role, name, i));
      const Tensor tensor(values.data(), Dtype::f32, {end - begin});
      (role == Role::weight         ? piece.weight
       : role == Role::first_moment ? piece.first_moment
                                    : piece.second_moment) = tensor;
    }
    owned.pieces.push_back(piece);
  }
  return owned;
}

SaveResult Scene::save(Communicator& world, const Path& output_dir, std::int64_t step, SaveOptions options,
                       std::uint64_t cuts) const {
  const Owned mine = owned(world.rank(), world.size(), cuts);
  options.program = "hearth test";
  return save_checkpoint(world, output_dir, state(step), mine.pieces, carried(), options);
}

std::vector<SaveResult> Scene::save_from(int ranks, const Path& output_dir, std::int64_t step,
                                         std::uint64_t cuts) const {
  std::vector<SaveResult> results(static_cast<std::size_t>(ranks));
  ThreadWorld(ranks).run([&](Communicator& world) {
    results[static_cast<std::size_t>(world.rank())] = save(world, output_dir, step, {}, cuts);
  });
  return results;
}

testing::AssertionResult Scene::is_in(const CheckpointReader& reader, std::int64_t step) const {
  if (!(reader.state() == state(step))) return testing::AssertionFailure() << "the state differs";
  if (reader.names().size() != dims_.size()) return testing::AssertionFailure() << "other parameters";
  for (const auto& [name, dims] : dims_) {
    if (!(reader.dims(name) == dims)) return testing::AssertionFailure() << name << " has other dims";
    std::vector<float> values(static_cast<std::size_t>(dims.elements()));
    for (const Role role : roles) {
      if (role != Role::weight && !moments_) continue;
      reader.read(role, name, 0, dims.elements(), values.data());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const float expected = value(role, name, static_cast<std::int64_t>(i));
        if (std::bit_cast<std::uint32_t>(values[i]) != std::bit_cast<std::uint32_t>(expected)) {
          return testing::AssertionFailure() << group_of(role) << " of " << name << " differs at " << i;
        }
      }
    }
  }
  return testing::AssertionSuccess();
}

std::vector<std::string> leftovers(const Path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') || name.ends_with(".tmp")) names.push_back(name);
  }
  return names;
}

std::vector<Path> files_of(const Path& folder) {
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Kind kind_of(const std::function<void()>& work, std::string* text) {
  try {
    work();
  } catch (const Error& error) {
    if (text != nullptr) *text = error.text();
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return Kind::internal;
}

}  // namespace hearth::test
