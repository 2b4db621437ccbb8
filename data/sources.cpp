#include "data/sources.h"

#include <glob.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/sha384.h"
#include "data/stream.h"

namespace hearth {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr const char* readable_rows = "`text`, `prompt` and `completion`, or `input_ids`";
constexpr const char* endings = ".txt, .md, .jsonl, .jsonl.zst";

[[noreturn]] void refuse(Format format, const std::string& where) {
  fail(Kind::usage, "{}: {} is recognised but cannot be read yet; convert it to .jsonl with {}", where, name_of(format),
       readable_rows);
}

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

std::vector<Path> files_of_folder(const DatasetSource& source, SourceNotes& notes) {
  std::vector<Path> files;
  std::error_code error;
  fs::recursive_directory_iterator walk(source.path, error);
  if (error)
    fail(error == std::errc::permission_denied ? Kind::machine : Kind::data, "cannot read the folder {}: {}",
         source.path, error.message());
  for (; walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    if (error) break;
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
      refuse(*format, fmt::format("{} (in the folder {}; name the other files by a pattern to leave it out)",
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
  std::erase_if(files, [](const Path& path) { return fs::is_directory(path); });
  if (files.empty()) fail(Kind::data, "datasets: {} matches folders only; name one folder instead", source.path);
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
      fail(Kind::data, "datasets: the folder {} holds no file of {}{}{}", source.path, endings,
           source.split.empty() ? "" : " in the split " + source.split, seen.empty() ? "" : " (found: " + seen + ")");
    }
  } else if (fs::exists(status)) {
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

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::string list_of(const std::vector<Format>& formats) {
  std::string text;
  for (const Format format : formats) text += fmt::format("{}{}", text.empty() ? "" : " and ", name_of(format));
  return text;
}

/// The format of a file's rows: that of its first row that is a JSON object, among the first hundred lines.
Format detect(const Path& path, Container container, const Columns& columns) {
  LineReader lines(path, container);
  while (lines.number() < 100 && lines.next()) {
    std::string_view line = lines.line();
    if (lines.number() == 1 && line.starts_with(byte_order_mark)) line.remove_prefix(byte_order_mark.size());
    const auto keys = is_blank(line) ? std::nullopt : keys_of(line, columns);
    if (!keys) continue;
    const std::vector<Format> fit = formats_that_fit(*keys);
    if (!fit.empty() && std::none_of(fit.begin(), fit.end(), readable)) {
      fail(Kind::usage, "{}, line {}: {} is recognised but cannot be read yet; convert it to rows of {}", path.string(),
           lines.number(), list_of(fit), readable_rows);
    }
    if (fit.size() > 1) {
      fail(Kind::usage, "{}, line {}: the row fits the formats {}; say which is meant with `format:` in datasets",
           path.string(), lines.number(), list_of(fit));
    }
    if (fit.size() == 1) return fit.front();
    std::string seen;
    for (const std::string& key : *keys) seen += fmt::format("{}`{}`", seen.empty() ? "" : ", ", key);
    fail(Kind::data,
         "{}, line {}: the columns {} fit no known format (`text`; `prompt` and `completion`; `input_ids`); map them "
         "with "
         "`columns:`, for example columns: {{prompt: question, completion: answer}}",
         path.string(), lines.number(), seen.empty() ? "(none)" : seen);
  }
  if (lines.number() == 0) return Format::text;  // an empty file has no rows of any format
  fail(Kind::data, "{}: none of the first {} lines is a JSON object, so the format of its rows cannot be told",
       path.string(), lines.number());
}

/// Digest and size of the bytes up to the end of `rows_left` rows (all of them: nothing), which are counted off.
void measure(SourceFile& file, std::optional<std::int64_t>& rows_left) {
  Sha384 digest;
  if (rows_left && file.container != Container::document) {
    LineReader lines(file.path, file.container);
    while (*rows_left > 0 && lines.next()) {
      digest.add(lines.line());
      digest.add("\n");
      file.bytes = lines.offset() + lines.line().size() + 1;
      const std::string_view line = lines.line();
      if (!is_blank(lines.number() == 1 && line.starts_with(byte_order_mark) ? line.substr(3) : line)) --*rows_left;
    }
  } else {
    const auto bytes = ByteStream::open(file.path, file.container);
    std::string block(std::size_t{1} << 20, '\0');
    for (std::size_t got = 0; (got = bytes->read(block.data(), block.size())) > 0; file.bytes += got)
      digest.add(block.data(), got);
    if (rows_left) --*rows_left;
  }
  const auto head = ByteStream::open(file.path, file.container);
  std::string first(byte_order_mark.size(), '\0');
  std::size_t have = 0;
  for (std::size_t got = 0; have < first.size() && (got = head->read(first.data() + have, first.size() - have)) > 0;)
    have += got;
  file.byte_order_mark = first == byte_order_mark;
  file.sha384 = digest.hex();
}

void check_request(const DatasetSource& source) {
  if (source.path.empty()) fail(Kind::usage, "datasets: an entry without path");
  if (source.weight != 1)
    fail(Kind::usage,
         "datasets: weight {} for {}: mixing by weight is not there yet; remove it or choose rows with max_samples",
         source.weight, source.path);
  if (source.max_samples && *source.max_samples <= 0)
    fail(Kind::usage, "datasets: max_samples {} for {}: must be at least 1", *source.max_samples, source.path);
  if (source.format && !readable(*source.format)) refuse(*source.format, source.path);
  check_columns(source.columns);
}

SourceFile described(const Path& path, const DatasetSource& source) {
  const std::string name = path.filename().string();
  SourceFile file;
  file.path = path;
  if (const auto format = unreadable_ending(name)) refuse(*format, path.string());
  const auto container = container_of(name);
  if (!container) fail(Kind::data, "datasets: {} does not end in one of {}", path.string(), endings);
  file.container = *container;
  if (file.container == Container::document) {
    if (source.format && *source.format != Format::text) {
      fail(Kind::usage, "datasets: {} is one text, but its format is given as {}; remove `format` or give a .jsonl",
           path.string(), name_of(*source.format));
    }
    if (!source.columns.empty())
      fail(Kind::usage, "datasets: {} is one text and has no columns; remove `columns`", path.string());
    return file;
  }
  file.format = source.format ? *source.format : detect(path, file.container, source.columns);
  if (!readable(file.format)) refuse(file.format, path.string());
  return file;
}

}  // namespace

Sources find_sources(const std::vector<DatasetSource>& datasets) {
  Sources sources;
  sources.datasets = datasets;
  for (const DatasetSource& source : datasets) {
    check_request(source);
    SourceNotes notes;
    std::optional<std::int64_t> rows_left = source.max_samples;
    for (const Path& path : files_of(source, notes)) {
      if (rows_left && *rows_left == 0) {
        ++notes.beyond_max_samples;
        continue;
      }
      SourceFile file = described(path, source);
      file.dataset = static_cast<int>(sources.notes.size());
      measure(file, rows_left);
      sources.files.push_back(std::move(file));
    }
    sources.notes.push_back(std::move(notes));
  }
  return sources;
}

}  // namespace hearth
