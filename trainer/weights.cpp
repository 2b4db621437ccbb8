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
  fill_weights(groups, [&](const Parameter& parameter, const Stretch& where, float* out) {
    for (std::int64_t row = 0; row < where.rows; ++row) {
      const std::int64_t begin = where.begin + row * where.stride;
      for (std::int64_t i = begin; i < begin + where.columns; ++i) *out++ = initial_value(parameter, key, i);
    }
  });
}

void fill_from_files(Groups& groups, const hf::WeightFiles& files) {
  fill_weights(groups, [&](const Parameter& parameter, const Stretch& where, float* out) {
    const std::string name = hf::foreign_name(parameter.name);
    for (std::int64_t row = 0; row < where.rows; ++row) {
      const std::int64_t begin = where.begin + row * where.stride;
      files.read_f32(name, begin, begin + where.columns, out + row * where.columns);
    }
  });
}

void fill_from_checkpoint(Groups& groups, const CheckpointReader& checkpoint, bool moments) {
  const auto fill = [&](FlatGroup& group, FlatGroup::Part part, Role role) {
    group.fill(part, [&](const Parameter& parameter, const Stretch& where, float* out) {
      if (checkpoint.dims(parameter.name) != parameter.full) {
        fail(Kind::data, "{}: parameter {} is {} there and {} in this model", checkpoint.path().string(),
             parameter.name, checkpoint.dims(parameter.name).text(), parameter.full.text());
      }
      checkpoint.read(role, parameter.name, where, out, where.columns);
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

namespace {

/// What of a flat part of a piece lies in a stretch of the full parameter, as rows.
Tensor rows_of(In part, const FlatGroup::Piece& piece, const HeldStretch& held) {
  const std::int64_t span = (held.full.rows - 1) * held.pitch + held.full.columns;
  Tensor rows = part.row_slice(held.at - piece.offset, span);
  rows.dims = {held.full.rows, held.full.columns};
  rows.pitch = held.full.rows == 1 ? held.full.columns : held.pitch;
  return rows;
}

}  // namespace

std::vector<SavedPiece> owned_pieces(const Groups& groups, bool moments) {
  std::vector<SavedPiece> pieces;
  for (const FlatGroup* group : groups.all()) {
    for (const FlatGroup::Piece& piece : group->owned()) {
      if (!group->counted(piece.parameter)) continue;
      const Parameter& parameter = group->parameters()[static_cast<std::size_t>(piece.parameter)];
      for (const HeldStretch& held : group->stretches(piece)) {
        SavedPiece saved = {parameter.name, parameter.full, held.full, rows_of(piece.weight, piece, held), {}, {}};
        if (moments) {
          saved.first_moment = rows_of(piece.first_moment, piece, held);
          saved.second_moment = rows_of(piece.second_moment, piece, held);
        }
        pieces.push_back(saved);
      }
    }
  }
  return pieces;
}

}  // namespace hearth
