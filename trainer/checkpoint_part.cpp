#include "trainer/checkpoint_part.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/error.h"
#include "data/hdf5.h"
#include "trainer/checkpoint_file.h"
#include "trainer/checkpoint_image.h"
#include "trainer/checkpoint_tiling.h"

namespace hearth {

namespace {

using hdf5::Handle;

std::vector<Role> roles_with(bool moments) {
  return moments ? std::vector<Role>(roles.begin(), roles.end()) : std::vector<Role>{Role::weight};
}

std::string piece_name(Role role, std::string_view name, std::int64_t begin) {
  return fmt::format("{}/{}@{}", group_of(role), name, begin);
}

const Tensor& tensor_of(const SavedPiece& piece, Role role) {
  return role == Role::weight ? piece.weight : role == Role::first_moment ? piece.first_moment : piece.second_moment;
}

bool has_shape(const Tensor& tensor, const Stretch& place) {
  const bool in_rows = tensor.rows() == place.rows && tensor.pitch >= tensor.row_elements();
  return tensor.elements() == place.elements() && (place.rows == 1 ? tensor.unpitched() : in_rows);
}

void check_piece(const SavedPiece& piece, bool moments) {
  require(is_parameter_name(piece.name), "a saved parameter has a plain name");
  require(fits(piece.place, piece.full.elements()), "a saved piece lies within its parameter");
  for (const Role role : roles) {
    const Tensor& tensor = tensor_of(piece, role);
    if (role != Role::weight && !moments) {
      require(!tensor, "all saved pieces have moments, or none");
      continue;
    }
    require(tensor && tensor.dtype == Dtype::f32 && tensor.device == Device::host && has_shape(tensor, piece.place),
            "a saved piece is f32, on the host, of (rows, columns)");
  }
}

bool create_groups(hid_t file, bool moments) {
  const Handle properties(H5Pcreate(H5P_GROUP_CREATE), H5Pclose);
  H5Pset_obj_track_times(properties, false);  // equal contents are equal bytes
  for (const Role role : roles_with(moments)) {
    const std::string name(group_of(role));
    const Handle group(H5Gcreate2(file, name.c_str(), H5P_DEFAULT, properties, H5P_DEFAULT), H5Gclose);
    if (group < 0) return false;
  }
  return true;
}

Handle create_dataset(hid_t file, const std::string& name, std::int64_t count, hid_t properties) {
  const auto size = static_cast<hsize_t>(count);
  const Handle space(H5Screate_simple(1, &size, nullptr), H5Sclose);
  H5Pset_obj_track_times(properties, false);  // equal contents are equal bytes
  return {H5Dcreate2(file, name.c_str(), H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT), H5Dclose};
}

bool set_integers(hid_t object, const char* name, std::span<const std::int64_t> values) {
  const hsize_t size = values.size();
  const Handle space(H5Screate_simple(1, &size, nullptr), H5Sclose);
  const Handle attribute(H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  return attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT64, values.data()) >= 0;
}

/// Describes one dataset a piece and role, and notes where its elements belong.
bool lay_out(hid_t file, std::span<const SavedPiece> pieces, bool moments, std::vector<Manifest::Piece>& places) {
  if (!create_groups(file, moments)) return false;
  const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_layout(properties, H5D_CONTIGUOUS);
  H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER);
  for (const SavedPiece& piece : pieces) {
    Manifest::Piece& place = places.emplace_back(Manifest::Piece{0, plain(piece.place), {}});
    for (const Role role : roles_with(moments)) {
      const std::string name = piece_name(role, piece.name, piece.place.begin);
      const Handle dataset = create_dataset(file, name, piece.place.elements(), properties);
      if (dataset < 0) return false;
      const haddr_t at = H5Dget_offset(dataset);
      if (at == HADDR_UNDEF) return false;
      place.at[static_cast<std::size_t>(role)] = static_cast<std::int64_t>(at);
    }
  }
  return true;
}

/// One virtual dataset over the pieces of a parameter.
bool join(hid_t file, Role role, const std::string& name, const Manifest::Entry& entry, int parts) {
  const auto total = static_cast<hsize_t>(entry.dims.elements());
  const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  for (const Manifest::Piece& piece : entry.pieces) {
    const auto start = static_cast<hsize_t>(piece.place.begin);
    const auto count = static_cast<hsize_t>(piece.place.rows);
    const auto block = static_cast<hsize_t>(piece.place.columns);
    const auto stride = piece.place.rows == 1 ? block : static_cast<hsize_t>(piece.place.stride);
    const auto elements = static_cast<hsize_t>(piece.place.elements());
    const Handle target(H5Screate_simple(1, &total, nullptr), H5Sclose);
    const Handle source(H5Screate_simple(1, &elements, nullptr), H5Sclose);
    if (H5Sselect_hyperslab(target, H5S_SELECT_SET, &start, &stride, &count, &block) < 0) return false;
    const std::string part = part_name(piece.part, parts);
    const std::string dataset = piece_name(role, name, piece.place.begin);
    if (H5Pset_virtual(properties, target, part.c_str(), dataset.c_str(), source) < 0) return false;
  }
  const Handle dataset =
      create_dataset(file, fmt::format("{}/{}", group_of(role), name), entry.dims.elements(), properties);
  return dataset >= 0 &&
         set_integers(dataset, "dims", {entry.dims.size.data(), static_cast<std::size_t>(entry.dims.count)});
}

/// Writes what HDF5 described, from the file's cursor to `end`.
void write_image(CheckpointFile& file, const Hdf5Image& image, std::int64_t end) {
  require(end >= file.cursor(), "the places of a part's datasets do not overlap");
  std::vector<char> piece(std::size_t{1} << 16);
  while (file.cursor() < end) {
    const std::size_t bytes = std::min(piece.size(), static_cast<std::size_t>(end - file.cursor()));
    image.read(static_cast<std::uint64_t>(file.cursor()), piece.data(), bytes);
    file.write(piece.data(), bytes);
  }
}

/// Writes the elements in order. Rows that lie apart are brought together in `staging`, a mebibyte at a time.
void write_elements(CheckpointFile& file, const Tensor& tensor, std::vector<float>& staging) {
  if (tensor.unpitched()) {
    file.write(tensor.data, tensor.bytes());
    return;
  }
  constexpr std::size_t most = std::size_t{1} << 20;
  const auto columns = static_cast<std::size_t>(tensor.row_elements());
  const auto at_once =
      std::clamp<std::int64_t>(static_cast<std::int64_t>(most / (columns * sizeof(float))), 1, tensor.rows());
  if (at_once > 1) staging.resize(static_cast<std::size_t>(at_once) * columns);
  for (std::int64_t first = 0; first < tensor.rows(); first += at_once) {
    const auto rows = static_cast<std::size_t>(std::min(at_once, tensor.rows() - first));
    const float* from = tensor.row<float>(first);
    if (at_once > 1) {
      for (std::size_t i = 0; i < rows; ++i) {
        std::copy_n(tensor.row<float>(first + static_cast<std::int64_t>(i)), columns, staging.data() + i * columns);
      }
      from = staging.data();
    }
    file.write(from, rows * columns * sizeof(float));
  }
}

struct Region {
  std::int64_t at = 0;  // byte offset in the file
  const Tensor* tensor = nullptr;
};

std::vector<Region> regions_of(std::span<const SavedPiece> pieces, const std::vector<Manifest::Piece>& places,
                               bool moments) {
  std::vector<Region> regions;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    for (const Role role : roles_with(moments)) {
      regions.push_back({places[i].at[static_cast<std::size_t>(role)], &tensor_of(pieces[i], role)});
    }
  }
  std::sort(regions.begin(), regions.end(), [](const Region& a, const Region& b) { return a.at < b.at; });
  return regions;
}

}  // namespace

WrittenPart write_part(const Path& path, std::span<const SavedPiece> pieces, bool moments,
                       const std::function<void(std::string_view)>& at_point) {
  std::set<std::pair<std::string_view, std::int64_t>> begins;
  for (const SavedPiece& piece : pieces) {
    check_piece(piece, moments);
    require(begins.emplace(piece.name, piece.place.begin).second, "a rank saves an element once");
  }
  WrittenPart written;
  const Hdf5Image image =
      describe_hdf5([&](hid_t h5) { return lay_out(h5, pieces, moments, written.pieces); }, H5F_LIBVER_EARLIEST);
  CheckpointFile file(path);
  at_point("part begun");
  std::vector<float> staging;
  for (const Region& region : regions_of(pieces, written.pieces, moments)) {
    write_image(file, image, region.at);
    write_elements(file, *region.tensor, staging);
  }
  write_image(file, image, static_cast<std::int64_t>(image.size()));
  at_point("part written");
  written.file = {file.cursor(), file.commit()};
  at_point("part synced");
  return written;
}

Manifest::File write_index(const Path& path, const Manifest& manifest) {
  // Older formats list the rows of a rectangle one by one, and a reader's time grows with their square.
  constexpr H5F_libver_t rectangles_as_four_numbers = H5F_LIBVER_V110;
  const Hdf5Image image = describe_hdf5(
      [&](hid_t h5) {
        bool good = create_groups(h5, manifest.moments) && set_integers(h5, "step", {&manifest.state.step, 1});
        for (const Role role : roles_with(manifest.moments)) {
          for (const auto& [name, entry] : manifest.tensors) good = good && join(h5, role, name, entry, manifest.parts);
        }
        return good;
      },
      rectangles_as_four_numbers);
  CheckpointFile file(path);
  write_image(file, image, static_cast<std::int64_t>(image.size()));
  return {file.cursor(), file.commit()};
}

}  // namespace hearth
