#include "trainer/checkpoint_commit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>

#include "base/error.h"
#include "trainer/checkpoint_file.h"

namespace hearth {

namespace {

/// A hidden name beside step folders that no other save of this folder has; the loader ignores such names.
Path hidden_name(const Path& output_dir, std::int64_t step) {
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  return output_dir / fmt::format(".step-{}.{}-{}.tmp", step, ::getpid(), now);
}

/// Removes a folder whole or notes why not.
void remove_folder(const Path& folder, std::vector<std::string>* notes) noexcept {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error && notes != nullptr) notes->push_back("cannot remove " + folder.string() + ": " + error.message());
}

bool is_taken(const Path& path) {
  std::error_code error;
  return std::filesystem::exists(std::filesystem::symlink_status(path, error));
}

void exchange(const Path& one, const Path& other) {
  if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) {
    fail(Kind::storage, "{} exists, and this file system cannot replace a folder in one step: move it away",
         other.string());
  }
  fail_system("replace", other, errno);
}

void rename_folder(const Path& from, const Path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_system("rename to", to, errno);
}

/// Out of the way in one step, then removed: a crash in between leaves no half checkpoint under a good name.
void discard(const Path& folder, std::vector<std::string>& notes) {
  const Path aside = hidden_name(folder.parent_path(), *step_of(folder));
  rename_folder(folder, aside);
  remove_folder(aside, &notes);
}

bool verifies(const Path& folder, std::vector<std::string>& notes) {
  try {
    const CheckpointReader reader(folder);
    return true;
  } catch (const Error& error) {
    notes.push_back(folder.string() + " is not counted as a checkpoint: " + error.text());
    return false;
  }
}

}  // namespace

void reach(const SaveOptions& options, std::string_view point) {
  if (options.at_point) options.at_point(point);
}

UnfinishedSave::UnfinishedSave(const Path& output_dir, std::int64_t step)
    : output_dir_(output_dir),
      folder_(hidden_name(output_dir, step)),
      target_(output_dir / fmt::format("step-{}", step)) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(output_dir, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".step-") && name.ends_with(".tmp")) remove_folder(entry.path(), nullptr);
  }
  if (::mkdir(folder_.c_str(), 0755) != 0) fail_system("create the folder", folder_, errno);
}

UnfinishedSave::~UnfinishedSave() {
  if (!folder_.empty()) remove_folder(folder_, nullptr);
}

void UnfinishedSave::commit(const SaveOptions& options) {
  sync_path(folder_);
  reach(options, "folder synced");
  const bool replaces = is_taken(target_);
  replaces ? exchange(folder_, target_) : rename_folder(folder_, target_);
  try {
    reach(options, "renamed");
    sync_path(output_dir_);
  } catch (...) {
    replaces ? exchange(folder_, target_) : rename_folder(target_, folder_);
    throw;
  }
  reach(options, "parent synced");
  if (replaces) remove_folder(folder_, nullptr);
  folder_.clear();
}

void point_latest_to(const Path& folder, const SaveOptions& options, std::vector<std::string>& notes) {
  try {
    write_file(folder.parent_path() / "LATEST", folder.filename().string() + "\n");
    reach(options, "LATEST written");
  } catch (const Error& error) {
    notes.push_back("LATEST was not written (it is only a hint, the checkpoint is committed): " + error.text());
  }
}

void prune(const Path& output_dir, const Path& current, const SaveOptions& options, std::vector<std::string>& notes) {
  if (!options.limit) return;
  const auto keep = static_cast<std::size_t>(std::max<std::int64_t>(2, *options.limit));
  try {
    std::vector<Path> others = checkpoints(output_dir);
    std::erase(others, current);
    std::reverse(others.begin(), others.end());  // newest first
    if (others.size() < keep) return;
    std::size_t kept = 1;
    bool second_is_good = false;
    for (const Path& folder : others) {
      if (kept >= keep && second_is_good) {
        discard(folder, notes);
        continue;
      }
      ++kept;
      if (!second_is_good) second_is_good = verifies(folder, notes);
    }
    reach(options, "pruned");
  } catch (const Error& error) {
    notes.push_back("old checkpoints were not pruned: " + error.text());
  }
}

}  // namespace hearth
