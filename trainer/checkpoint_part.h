// The HDF5 files of a checkpoint: one part a rank, and the index that joins them by parameter name.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "trainer/checkpoint.h"
#include "trainer/manifest.h"

namespace hearth {

struct WrittenPart {
  Manifest::File file;
  std::vector<Manifest::Piece> pieces;  // where each of the given pieces lies, in the given order; `part` is left 0
};

/// Writes a part: for every piece and role a one-dimensional dataset /ROLE/NAME@BEGIN of f32, contiguous, so that its
/// elements can be read at a known offset without HDF5. HDF5 only describes them, in memory; every byte is written and
/// hashed here, in one pass. Returns once the file is synced. Calls at_point with "part begun", "part written" and
/// "part synced". Throws Kind::storage or Kind::machine naming the file; Kind::internal for a wrong piece.
WrittenPart write_part(const Path& path, std::span<const SavedPiece> pieces, bool moments,
                       const std::function<void(std::string_view)>& at_point);

/// Writes the index: virtual datasets /ROLE/NAME of all elements of a parameter, with an attribute `dims`, over the
/// parts beside it. Synced on return.
Manifest::File write_index(const Path& path, const Manifest& manifest);

}  // namespace hearth
