// Checkpoints: written aside, hashed, synced, renamed; read by any mesh, whatever mesh wrote them.
//
// Invariants (the order is the one of docs/checkpoint_format.md):
//   1. A folder step-N appears by one rename, after every byte of it is on disk and hashed. What was there before stays
//      until then, and is pruned only afterwards.
//   2. Every element of every parameter is written by exactly one rank, and found again by name and index alone.
//   3. No rank waits for one that failed: all learn of a failure in the same exchange and abandon the save together.
//   4. Nothing is read from a file whose SHA-384 was not compared first.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/parameter.h"
#include "base/tensor.h"
#include "parallel/communicator.h"
#include "trainer/checkpoint_rows.h"
#include "trainer/checkpoint_tiling.h"
#include "trainer/manifest.h"

namespace hearth {

/// Elements of a parameter, row-major in `full`, that this rank owns. Rectangles of one parameter have one stride, and
/// lie within rows of that length. The tensors are f32, on the host, of (rows, columns) at any pitch (one row also of
/// (columns)), and unchanged until the save returns. All pieces of all ranks have moments, or none.
struct SavedPiece {
  std::string name;
  Dims full;
  Stretch place;
  Tensor weight;
  Tensor first_moment;  // without data when only the model is saved
  Tensor second_moment;
};

/// Small files that make the folder complete for generate, eval and export (config.json, tokenizer.json, recipe.yaml,
/// ...).
using CarriedFiles = std::vector<std::pair<std::string, std::string>>;  // name, bytes

struct SaveOptions {
  std::string program;                // name, version, commit of this program
  std::string parent;                 // digest of the manifest the run went on from, or of its last save; empty: none
  std::optional<std::int64_t> limit;  // newest checkpoints kept; fewer than 2 counts as 2; empty: all
  /// Names of all parameters of the model: the checkpoint holds these and no other. Empty: whatever is saved.
  std::vector<std::string> parameters;
  /// For tests: called on the named points of the protocol; an Error it throws up to the rename is a failure of this
  /// rank.
  std::function<void(std::string_view point)> at_point;
};

struct SaveResult {
  bool committed = false;
  Kind kind = Kind::storage;       // of the failure
  std::string text;                // of the failure: which rank, which file, why
  Path folder;                     // of the checkpoint
  std::string digest;              // of its manifest: the next save's parent
  std::int64_t bytes = 0;          // of all its files
  std::vector<std::string> notes;  // what a person should know although the checkpoint is good
};

/// Commits `output_dir`/step-N, N = state.step; the same result on every rank. Collective. `state`, `carried` and
/// `options` are rank 0's (the others' are not looked at, but for at_point). The caller holds the RunLock of
/// output_dir. When storage or the machine fails on any rank (disk full, I/O, permission), nothing is committed, what
/// was there stays, nothing unfinished remains, and the result says so; the caller decides whether to go on. A broken
/// promise of the callers (an element or a parameter without owner, an element with two, a wrong tensor) throws
/// Kind::internal on every rank. A step-N that exists already is replaced in one exchange.
SaveResult save_checkpoint(Communicator& world, const Path& output_dir, const RunState& state,
                           std::span<const SavedPiece> pieces, const CarriedFiles& carried, const SaveOptions& options);

/// The folders step-N in a folder, by N. Whether they are good is not looked at. None where the folder is missing.
std::vector<Path> checkpoints(const Path& output_dir);
/// N of a path whose last name is step-N (no leading zeros), or nothing.
std::optional<std::int64_t> step_of(const Path& step_folder);

/// The newest checkpoint that verifies completely, or nothing where no step folder is. `complaints` gets a line for
/// each newer one that does not, for each unfinished save, and when LATEST names a newer one than is there. Reads every
/// byte. Throws Kind::integrity when step folders exist and none verifies; Kind::data when the newest good one has a
/// format version that is not known here (an older one would lose work silently); Kind::machine when something may not
/// be read.
std::optional<Path> newest_verified(const Path& output_dir, std::vector<std::string>& complaints);

/// Whether a reader compares every digest itself, or its caller did so in this process or on another rank.
enum class Verify { all, nothing };

/// An opened checkpoint. Holds the manifest, file handles and a small buffer, no tensors. Not for several threads at
/// once.
class CheckpointReader {
 public:
  /// Throws Kind::integrity naming file and reason; Kind::data for an unknown format version. Even with Verify::nothing
  /// the manifest is held against its digest, and its every field against the others.
  explicit CheckpointReader(const Path& step_folder, Verify verify = Verify::all);
  ~CheckpointReader();
  CheckpointReader(const CheckpointReader&) = delete;
  CheckpointReader& operator=(const CheckpointReader&) = delete;

  const Path& path() const { return folder_; }
  const Manifest& manifest() const { return read_.manifest; }
  const std::string& digest() const { return read_.digest; }  // of the manifest
  const RunState& state() const { return read_.manifest.state; }
  bool has_moments() const { return read_.manifest.moments; }
  std::vector<std::string> names() const;  // in order of bytes
  bool has(std::string_view name) const { return read_.manifest.tensors.find(name) != read_.manifest.tensors.end(); }
  /// Throws Kind::data naming the parameter when there is none.
  Dims dims(std::string_view name) const;

  /// out[0 .. end - begin) = the elements [begin, end) of a parameter's role. Throws Kind::data for an unknown name, a
  /// range outside of it, and moments where none were saved.
  void read(Role role, std::string_view name, std::int64_t begin, std::int64_t end, float* out) const;
  /// out[i * out_pitch + j] = element begin + i * stride + j, for i < rows and j < columns; nothing between the rows is
  /// written. Rows that lie near each other in a file are read together. Throws Kind::data as above, and for rows that
  /// do not lie within rows of the matrix that has `stride` columns.
  void read(Role role, std::string_view name, const Stretch& wanted, float* out, std::int64_t out_pitch) const;
  /// What read() took from the parts so far.
  const ReadCount& reads() const { return reads_; }

  /// The bytes of a carried file, held against its digest; nothing when it was not carried.
  std::optional<std::string> carried(std::string_view name) const;
  std::vector<std::string> carried_names() const;

 private:
  const Manifest::Entry& entry(std::string_view name) const;
  /// Reads what lies in `wanted` of the matrix with rows of `width` elements, to where `wanted` has it in `out`.
  void read(Role role, const Manifest::Entry& whole, std::int64_t width, const Rectangle& wanted, float* out) const;
  const InFile& part(int index) const;

  Path folder_;
  ReadManifest read_;
  mutable std::vector<std::unique_ptr<InFile>> parts_;  // opened when first read
  mutable std::vector<float> staging_;
  mutable ReadCount reads_;
};

}  // namespace hearth
