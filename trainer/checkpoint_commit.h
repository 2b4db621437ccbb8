// What rank 0 alone does to the output folder of a run: the temporary folder, the rename that commits, LATEST, pruning.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "trainer/checkpoint.h"

namespace hearth {

/// The folder that a save is built in: hidden, beside its final name, removed with this object unless committed.
class UnfinishedSave {
 public:
  /// Removes what earlier saves left unfinished and creates `output_dir`/.step-N.UNIQUE.tmp.
  UnfinishedSave(const Path& output_dir, std::int64_t step);
  ~UnfinishedSave();
  UnfinishedSave(const UnfinishedSave&) = delete;
  UnfinishedSave& operator=(const UnfinishedSave&) = delete;

  const Path& path() const { return folder_; }
  const Path& target() const { return target_; }
  /// Syncs the folder, renames it to step-N (in exchange with what has that name) and syncs the parent. When the last
  /// sync fails, the rename is taken back: it may not have reached the disk. Then removes what was replaced.
  void commit(const SaveOptions& options);

 private:
  Path output_dir_;
  Path folder_;
  Path target_;
};

/// Writes LATEST, the hint. Never throws; a failure becomes a note.
void point_latest_to(const Path& folder, const SaveOptions& options, std::vector<std::string>& notes);
/// Removes checkpoints beyond the newest `limit`, `current` first among them, but never the newest other one that
/// verifies: one may prove broken. Never throws; what went wrong becomes a note.
void prune(const Path& output_dir, const Path& current, const SaveOptions& options, std::vector<std::string>& notes);

/// options.at_point, when there is one.
void reach(const SaveOptions& options, std::string_view point);

}  // namespace hearth
