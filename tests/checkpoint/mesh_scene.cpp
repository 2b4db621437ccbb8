#include "checkpoint/mesh_scene.h"

#include <algorithm>
#include <bit>

#include "base/random.h"
#include "parallel/thread_world.h"

namespace hearth::test {

namespace {

constexpr int largest_axis = 6;
constexpr std::uint32_t untouched = 0x7FA5A5A5;  // a NaN that nobody saves

std::uint32_t bits(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

std::vector<Parameter> parameters_for(int tensor) {
  std::vector<Parameter> list;
  const auto add = [&](const std::string& cut_name, Cut cut, Dims full, int asked) {
    std::string name = cut_name + "." + std::to_string(asked);
    for (int i = 0; i < full.count; ++i) name += (i == 0 ? "." : "x") + std::to_string(full[i]);
    list.push_back({.name = name, .full = full, .cut = cut, .pieces = std::min(asked, tensor)});
  };
  for (const Dims& full : {Dims{7, 5}, Dims{13}, Dims{2, 3, 2, 2}}) add("whole", Cut::none, full, 1);
  for (const int asked : {1, 2, 3, 4, 6}) {
    for (const Dims& full : {Dims{7, 5}, Dims{8, 6}, Dims{1, 3}, Dims{3, 1}, Dims{13}}) {
      add("rows", Cut::rows, full, asked);
    }
    for (const Dims& full : {Dims{7, 5}, Dims{8, 6}, Dims{1, 3}, Dims{3, 1}, Dims{2, 13}}) {
      add("columns", Cut::columns, full, asked);
    }
  }
  return list;
}

/// A stretch of a local matrix as a tensor.
Tensor view(std::vector<float>& matrix, const HeldStretch& held) {
  Tensor tensor(matrix.data() + held.at, Dtype::f32, {held.full.rows, held.full.columns});
  if (held.full.rows > 1) tensor.pitch = held.pitch;
  return tensor;
}

}  // namespace

MeshScene::MeshScene(std::uint64_t seed) : scene_(seed) {
  for (int tensor = 0; tensor <= largest_axis; ++tensor) parameters_.push_back(parameters_for(tensor));
  for (const Parameter& parameter : parameters(1)) {
    for (const Role role : roles) {
      auto& values = whole_.emplace_back();
      for (std::int64_t i = 0; i < parameter.full.elements(); ++i) {
        values.push_back(scene_.value(role, parameter.name, i));
      }
    }
  }
}

std::int64_t MeshScene::elements() const {
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters(1)) total += parameter.full.elements();
  return total;
}

std::vector<MeshScene::Local> MeshScene::interval_of(int rank, MeshSize mesh, std::uint64_t cuts) const {
  const std::vector<Parameter>& list = parameters(mesh.tensor);
  std::int64_t total = 0;
  for (const Parameter& parameter : list) total += piece_dims(parameter).elements();
  std::vector<std::int64_t> places;
  for (int part = 0; part <= mesh.data; ++part) {
    const bool inner = part > 0 && part < mesh.data;
    const Key key = Key(cuts).with("data");
    places.push_back(inner && cuts != 0 ? static_cast<std::int64_t>(key.below(static_cast<std::uint64_t>(total) + 1,
                                                                              static_cast<std::uint64_t>(part)))
                                        : total * part / mesh.data);
  }
  std::sort(places.begin(), places.end());
  const auto data_rank = static_cast<std::size_t>(rank / mesh.tensor);
  std::vector<Local> held;
  std::int64_t at = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::int64_t count = piece_dims(list[i]).elements();
    const Interval part = intersect({places[data_rank] - at, places[data_rank + 1] - at}, {0, count});
    at += count;
    if (part.count() > 0) {
      held.push_back({static_cast<int>(i), piece_of(list[i], rank % mesh.tensor, mesh.tensor), part});
    }
  }
  return held;
}

std::vector<float> MeshScene::matrix(const Parameter& parameter, int piece, Role role) const {
  const auto& list = parameters(1);
  const auto index =
      std::find_if(list.begin(), list.end(), [&](const Parameter& p) { return p.name == parameter.name; });
  const auto& whole =
      whole_[static_cast<std::size_t>(index - list.begin()) * roles.size() + static_cast<std::size_t>(role)];
  const Dims dims = piece_dims(parameter);
  const Interval extent = piece_extent(parameter, piece);
  std::vector<float> values(static_cast<std::size_t>(dims.elements()), std::bit_cast<float>(untouched));
  // Row by row and column by column, without stretches_of: it is part of what is tested.
  for (std::int64_t i = 0; i < dims.elements(); ++i) {
    std::int64_t row = i / dims.row_elements();
    std::int64_t column = i % dims.row_elements();
    if (parameter.cut == Cut::rows) row += extent.begin;
    if (parameter.cut == Cut::columns) column += extent.begin;
    if (row >= parameter.full[0] || column >= parameter.full.row_elements()) continue;
    values[static_cast<std::size_t>(i)] = whole[static_cast<std::size_t>(row * parameter.full.row_elements() + column)];
  }
  return values;
}

MeshScene::Owned MeshScene::owned(int rank, MeshSize mesh, std::uint64_t cuts) const {
  Owned owned;
  for (const Local& local : interval_of(rank, mesh, cuts)) {
    const Parameter& parameter = parameters(mesh.tensor)[static_cast<std::size_t>(local.parameter)];
    if (!is_first_holder(parameter, rank % mesh.tensor, mesh.tensor)) continue;
    const std::size_t first = owned.storage.size();
    for (const Role role : roles) owned.storage.push_back(matrix(parameter, local.piece, role));
    for (const HeldStretch& held : stretches_of(parameter, local.piece, local.part)) {
      owned.pieces.push_back({parameter.name, parameter.full, held.full, view(owned.storage[first], held),
                              view(owned.storage[first + 1], held), view(owned.storage[first + 2], held)});
    }
  }
  return owned;
}

SaveResult MeshScene::save_from(MeshSize mesh, const Path& output_dir, std::int64_t step, std::uint64_t cuts) const {
  std::vector<SaveResult> results(static_cast<std::size_t>(mesh.ranks()));
  ThreadWorld(mesh.ranks()).run([&](Communicator& world) {
    const Owned mine = owned(world.rank(), mesh, cuts);
    SaveOptions options;
    options.program = "hearth test";
    results[static_cast<std::size_t>(world.rank())] =
        save_checkpoint(world, output_dir, scene_.state(step), mine.pieces, scene_.carried(), options);
  });
  return results[0];
}

testing::AssertionResult MeshScene::holds(const std::vector<float>& read, const Parameter& parameter, int piece,
                                          Role role) const {
  const std::vector<float> expected = matrix(parameter, piece, role);
  for (std::size_t i = 0; i < read.size(); ++i) {
    if (bits(read[i]) != bits(expected[i])) {
      return testing::AssertionFailure() << group_of(role) << " of " << parameter.name << ", piece " << piece << " of "
                                         << parameter.pieces << ", differs at " << i;
    }
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult MeshScene::is_read_by(MeshSize mesh, std::uint64_t cuts,
                                               const CheckpointReader& reader) const {
  const auto& list = parameters(mesh.tensor);
  for (int tensor_rank = 0; tensor_rank < mesh.tensor; ++tensor_rank) {
    for (const Role role : roles) {
      std::vector<std::vector<float>> read(list.size());
      for (std::size_t i = 0; i < list.size(); ++i) {
        read[i].assign(static_cast<std::size_t>(piece_dims(list[i]).elements()), std::bit_cast<float>(untouched));
      }
      for (int data_rank = 0; data_rank < mesh.data; ++data_rank) {
        for (const Local& local : interval_of(data_rank * mesh.tensor + tensor_rank, mesh, cuts)) {
          const auto i = static_cast<std::size_t>(local.parameter);
          for (const HeldStretch& held : stretches_of(list[i], local.piece, local.part)) {
            reader.read(role, list[i].name, held.full, read[i].data() + held.at, held.pitch);
          }
        }
      }
      for (std::size_t i = 0; i < list.size(); ++i) {
        const auto same = holds(read[i], list[i], piece_of(list[i], tensor_rank, mesh.tensor), role);
        if (!same) return same;
      }
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace hearth::test
