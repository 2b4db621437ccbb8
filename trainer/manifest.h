// What a checkpoint says about itself: MANIFEST.json, and the digest that holds it (docs/checkpoint_format.md).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/parameter.h"
#include "base/tensor.h"

namespace hearth {

/// What a run needs besides its tensors to go on exactly. Nothing in it depends on the mesh.
struct RunState {
  std::int64_t step = 0;             // updates done
  std::int64_t row = 0;              // the cursor: rows (or packs) drawn since the first step, over all epochs
  std::int64_t rows_of_epoch = 0;    // rows in one pass over the data
  std::int64_t microbatches = 0;     // of a step, over all ranks; fixed at the first start
  std::int64_t microbatch_rows = 0;  // of one microbatch; fixed at the first start
  std::uint64_t seed = 0;            // every random number is a function of it, of names and of global indices
  std::int64_t tokens = 0;           // tokens seen
  std::int64_t trained_tokens = 0;   // of those, targets that were learned from
  std::optional<double> last_loss;   // training loss of the last step
  std::optional<double> best_eval_loss;
  std::string recipe;                              // the resolved recipe, YAML
  nlohmann::json more = nlohmann::json::object();  // what other parts of the trainer add, by name; finite numbers only

  bool operator==(const RunState&) const = default;
};

/// What a checkpoint holds for each element of a parameter; all f32.
enum class Role { weight, first_moment, second_moment };
inline constexpr std::array<Role, 3> roles{Role::weight, Role::first_moment, Role::second_moment};
/// The HDF5 group of a role: "weights", "first_moment", "second_moment".
std::string_view group_of(Role role);

struct Manifest {
  struct File {
    std::int64_t bytes = 0;
    std::string sha384;  // 96 lower-case hexadecimal digits
  };
  /// Elements of a parameter, row-major in its dims, as rank `part` wrote them, end to end.
  struct Piece {
    int part = 0;
    Stretch place;  // one row wherever its elements are contiguous
    std::array<std::int64_t, 3>
        at{};  // for each role, the byte offset of its little-endian f32 values in the part file
  };
  struct Entry {
    Dims dims;
    std::vector<Piece> pieces;  // in order of their first elements; together exactly [0, dims.elements())
  };

  std::string program;  // name, version and commit of the program that wrote it
  std::string written;  // when, UTC
  std::string parent;   // digest of the manifest this run went on from; empty for none
  int parts = 1;        // ranks that wrote it
  bool moments = true;  // false: weights alone, no run can go on from it
  RunState state;
  std::map<std::string, Entry, std::less<>> tensors;
  std::map<std::string, File, std::less<>> files;  // every file of the folder but the manifest and its digest

  std::int64_t elements() const;
  /// Of the format: 2 with a piece that is a rectangle, else 1, which older programs read too.
  int version() const;
  /// The JSON text. Throws Kind::internal when `state.more` holds what JSON cannot.
  std::string text() const;
};

/// "2026-01-31T23:59:59Z"
std::string utc_now();
/// "part-00001-of-00004.h5"
std::string part_name(int part, int parts);
/// Whether a parameter may be called so in a checkpoint: letters, digits, '_', '-' and '.', not empty, at most 255.
bool is_parameter_name(std::string_view name);
/// Throws Kind::internal unless the pieces tile every parameter exactly and no name or dims are odd: each element has
/// one owner.
void check_pieces(const Manifest& manifest);
/// Why the pieces of a parameter do not tile it (trainer/checkpoint_tiling.h); empty when they do.
std::string tiling_fault(const Manifest::Entry& entry);

/// Writes MANIFEST.json and MANIFEST.sha384 into `folder`, synced, and returns the digest.
std::string write_manifest(const Path& folder, const Manifest& manifest);

/// A manifest that holds its digest and whose every field was checked.
struct ReadManifest {
  Manifest manifest;
  std::string digest;
};
/// Throws Kind::integrity naming folder and reason; a format version that this program does not know, Kind::data.
ReadManifest read_manifest(const Path& folder);
/// Compares size and SHA-384 of every file with the manifest, and the list of files with what lies in the folder; links
/// and folders are refused. Throws Kind::integrity naming the first file that differs.
void verify_files(const Path& folder, const Manifest& manifest);

}  // namespace hearth
