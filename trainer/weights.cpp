#include "trainer/weights.h"

#include "model/hf/names.h"

namespace hearth {

namespace {

void fill_weights(Groups& groups, const FlatGroup::Source& source) {
  for (int i = 0; i < groups.count(); ++i) groups.group(i).fill(FlatGroup::Part::weight, source);
}

}  // namespace

void fill_fresh(Groups& groups, std::uint64_t seed) {
  const Key key(seed);
  fill_weights(groups, [&](const Parameter& parameter, std::int64_t begin, std::int64_t end, float* out) {
    for (std::int64_t i = begin; i < end; ++i) *out++ = initial_value(parameter, key, i);
  });
}

void fill_from_files(Groups& groups, const hf::WeightFiles& files) {
  fill_weights(groups, [&](const Parameter& parameter, std::int64_t begin, std::int64_t end, float* out) {
    files.read_f32(hf::foreign_name(parameter.name), begin, end, out);
  });
}

void fill_from_checkpoint(Groups& groups, const CheckpointReader& checkpoint, bool moments) {
  const auto fill = [&](FlatGroup& group, FlatGroup::Part part, Role role) {
    group.fill(part, [&](const Parameter& parameter, std::int64_t begin, std::int64_t end, float* out) {
      if (checkpoint.dims(parameter.name) != parameter.full) {
        fail(Kind::data, "{}: parameter {} is {} there and {} in this model", checkpoint.path().string(),
             parameter.name, checkpoint.dims(parameter.name).text(), parameter.full.text());
      }
      checkpoint.read(role, parameter.name, begin, end, out);
    });
  };
  for (int i = 0; i < groups.count(); ++i) {
    FlatGroup& group = groups.group(i);
    fill(group, FlatGroup::Part::weight, Role::weight);
    if (!moments) continue;
    fill(group, FlatGroup::Part::first_moment, Role::first_moment);
    fill(group, FlatGroup::Part::second_moment, Role::second_moment);
  }
}

std::vector<SavedPiece> owned_pieces(const Groups& groups, bool moments) {
  std::vector<SavedPiece> pieces;
  for (const FlatGroup* group : groups.all()) {
    for (const FlatGroup::Piece& piece : group->owned()) {
      if (!group->counted(piece.parameter)) continue;
      const Parameter& parameter = group->parameters()[static_cast<std::size_t>(piece.parameter)];
      SavedPiece saved = {parameter.name, parameter.full, {piece.offset, 1, piece.weight.elements(), 0},
                          piece.weight,   Tensor(),       Tensor()};
      if (moments) {
        saved.first_moment = piece.first_moment;
        saved.second_moment = piece.second_moment;
      }
      pieces.push_back(saved);
    }
  }
  return pieces;
}

}  // namespace hearth
