#include "data/sources.h"

#include <glob.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "data/source_reading.h"

namespace hearth {

namespace {

namespace fs = std::filesystem;

/// Whether a file of a folder belongs to a split: SPLIT.*, SPLIT-* or anything below SPLIT/.
bool in_split(const Path& relative, const std::string& split) {
  if (split.empty()) return true;
  for (const Path& piece : relative.parent_path()) {
    if (piece == split) return true;
  }
  const std::string name = relative.filename().string();
  return name.starts_with(split + ".") || name.starts_with(split + "-");
}

std::string ending_of(const Path& path) {
  const std::string ending = path.extension().string();
  return ending.empty() ? "no ending" : ending;
}

/// What a program keeps for itself beside the data (.git, .ipynb_checkpoints, .hearth-cache); true: it is counted and left.
bool is_hidden(fs::recursive_directory_iterator& walk, SourceNotes& notes) {
  if (!walk->path().filename().native().starts_with('.')) return false;
  const bool folder = walk->is_directory() && !walk->is_symlink();
  if (folder) walk.disable_recursion_pending();
  ++notes.skipped[folder ? "hidden folder" : "hidden file"];
  return true;
}

std::vector<Path> files_of_folder(const DatasetSource& source, SourceNotes& notes) {
  std::vector<Path> files;
  std::error_code error;
  fs::recursive_directory_iterator walk(source.path, error);
  if (error)
    fail(error == std::errc::permission_denied ? Kind::machine : Kind::data, "cannot read the folder {}: {}",
         source.path, error.message());
  for (; walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    if (error) break;
    if (is_hidden(walk, notes)) continue;
    if (!walk->is_regular_file()) {
      if (walk->is_symlink()) ++notes.skipped[walk->is_directory() ? "link to a folder" : "broken link"];
      if (walk->is_other()) ++notes.skipped["no regular file"];
      continue;
    }
    const Path relative = walk->path().lexically_relative(source.path);
    if (!in_split(relative, source.split)) {
      ++notes.skipped["other split"];
    } else if (container_of(relative.filename().string())) {
      files.push_back(walk->path());
    } else if (const auto format = unreadable_ending(relative.filename().string())) {
      refuse_format(*format, fmt::format("{} (in the folder {}; name the other files by a pattern to leave it out)",
                                         walk->path().string(), source.path));
    } else {
      ++notes.skipped[ending_of(relative)];
    }
  }
  if (error)
    fail(error == std::errc::permission_denied ? Kind::machine : Kind::data, "cannot read the folder {}: {}",
         source.path, error.message());
  return files;
}

std::vector<Path> files_of_pattern(const DatasetSource& source) {
  if (source.path.find("**") != std::string::npos) {
    fail(Kind::usage, "datasets: `**` in {} is not understood; name the folder, it is read with all folders below it",
         source.path);
  }
  glob_t found{};
  const int result = ::glob(source.path.c_str(), GLOB_ERR, nullptr, &found);
  std::vector<Path> files;
  if (result == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (result == GLOB_NOMATCH) fail(Kind::data, "datasets: {} does not exist and matches no file", source.path);
  if (result != 0) fail(Kind::machine, "datasets: a folder of {} cannot be read", source.path);
  std::erase_if(files, [](const Path& path) { return fs::exists(path) && !fs::is_regular_file(path); });
  if (files.empty()) {
    fail(Kind::data, "datasets: {} matches no regular file; a folder is named without a pattern", source.path);
  }
  return files;
}

std::vector<Path> files_of(const DatasetSource& source, SourceNotes& notes) {
  std::error_code ignored;
  const fs::file_status status = fs::status(source.path, ignored);
  if (!fs::exists(status) && ignored == std::errc::permission_denied) {
    fail(Kind::machine, "datasets: no permission to look at {}", source.path);
  }
  std::vector<Path> files;
  if (fs::is_directory(status)) {
    files = files_of_folder(source, notes);
    if (files.empty()) {
      std::string seen;
      for (const auto& [ending, count] : notes.skipped)
        seen += fmt::format("{}{} x {}", seen.empty() ? "" : ", ", count, ending);
      fail(Kind::data, "datasets: the folder {} holds no file of {}{}{}", source.path, readable_endings,
           source.split.empty() ? "" : " in the split " + source.split, seen.empty() ? "" : " (found: " + seen + ")");
    }
  } else if (fs::exists(status)) {
    if (!fs::is_regular_file(status)) {
      fail(Kind::data,
           "datasets: {} is no regular file (a pipe or a device): it is read more than once, write it to a file",
           source.path);
    }
    files.emplace_back(source.path);
  } else {
    files = files_of_pattern(source);
  }
  if (!source.split.empty() && !fs::is_directory(status) && source.split != "train") {
    fail(Kind::usage,
         "datasets: split `{}` chooses among the files of a folder; {} is none: name the file of that split",
         source.split, source.path);
  }
  std::sort(files.begin(), files.end(), [](const Path& a, const Path& b) { return a.native() < b.native(); });
  return files;
}

void check_request(const DatasetSource& source) {
  if (source.path.empty()) fail(Kind::usage, "datasets: an entry without path");
  if (source.weight != 1)
    fail(Kind::usage,
         "datasets: weight {} for {}: mixing by weight is not there yet; remove it or choose rows with max_samples",
         source.weight, source.path);
  if (source.max_samples && *source.max_samples <= 0)
    fail(Kind::usage, "datasets: max_samples {} for {}: must be at least 1", *source.max_samples, source.path);
  if (source.format && !readable(*source.format)) refuse_format(*source.format, source.path);
  check_columns(source.columns);
}

}  // namespace

std::string place_text(const SourceFile& file, std::int64_t line) {
  if (file.container == Container::document) return file.path.string();
  return fmt::format("{}, line {}", file.path.string(), line);
}

void check_sources(const std::vector<DatasetSource>& datasets) {
  for (const DatasetSource& source : datasets) {
    check_request(source);
    SourceNotes notes;
    files_of(source, notes);
  }
}

Sources find_sources(const std::vector<DatasetSource>& datasets, const Together& together) {
  Sources sources;
  sources.datasets = datasets;
  std::vector<ReadingTask> tasks;
  all_or_none(together, [&] {
    for (const DatasetSource& source : datasets) {
      check_request(source);
      SourceNotes notes;
      const auto dataset = static_cast<int>(sources.notes.size());
      std::vector<Path> files = files_of(source, notes);
      if (source.max_samples) {
        tasks.push_back({dataset, std::move(files), source.max_samples});  // where it ends shows only when it is read
      } else {
        for (Path& file : files) tasks.push_back({dataset, {std::move(file)}, {}});
      }
      sources.notes.push_back(std::move(notes));
    }
  });
  std::vector<std::vector<SourceFile>> read = read_together(datasets, tasks, together);
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    sources.notes[static_cast<std::size_t>(tasks[t].dataset)].beyond_max_samples +=
        static_cast<std::int64_t>(tasks[t].files.size() - read[t].size());
    std::move(read[t].begin(), read[t].end(), std::back_inserter(sources.files));
  }
  return sources;
}

}  // namespace hearth
