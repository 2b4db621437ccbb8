#include "data/source_reading.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "base/sha384.h"
#include "data/stream.h"

namespace hearth {

namespace {

using Json = nlohmann::json;

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr const char* readable_rows = "`text`, `prompt` and `completion`, or `input_ids`";

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::string list_of(const std::vector<Format>& formats) {
  std::string text;
  for (const Format format : formats) text += fmt::format("{}{}", text.empty() ? "" : " and ", name_of(format));
  return text;
}

/// Why a row whose own columns are `names` has no format, and what to do.
std::string no_format(const std::vector<std::string>& names, const Columns& columns) {
  std::vector<std::string> quoted, absent;
  for (const std::string& name : names) quoted.push_back(fmt::format("`{}`", name));
  for (const auto& [name, from] : columns) {
    if (std::find(names.begin(), names.end(), from) == names.end()) {
      absent.push_back(fmt::format("`columns:` takes {} from `{}`", name, from));
    }
  }
  const std::string seen = names.empty() ? "(none)" : fmt::format("{}", fmt::join(quoted, ", "));
  if (!absent.empty()) {
    return fmt::format("{}, but the row has the columns {}; name there the columns that it has",
                       fmt::join(absent, " and "), seen);
  }
  return fmt::format(
      "the columns {} fit no known format (`text`; `prompt` and `completion`; `input_ids`); map them with `columns:`, "
      "for example columns: {{prompt: question, completion: answer}}",
      seen);
}

/// The format of a file's rows: that of its first row that is a JSON object, among the first hundred lines.
Format detect(const Path& path, Container container, const Columns& columns) {
  LineReader lines(path, container);
  bool blank = true;
  std::string first;  // what is wrong with the first line that is not blank
  while (lines.number() < 100 && lines.next()) {
    std::string_view line = lines.line();
    if (lines.number() == 1 && line.starts_with(byte_order_mark)) line.remove_prefix(byte_order_mark.size());
    blank = blank && is_blank(line);
    const auto keys = is_blank(line) ? std::nullopt : keys_of(line, columns);
    if (!keys) {
      if (first.empty() && !is_blank(line)) {
        first = fmt::format("line {}: {}", lines.number(), why_no_object(line));
      }
      continue;
    }
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
    fail(Kind::data, "{}, line {}: {}", path.string(), lines.number(), no_format(*keys_of(line, {}), columns));
  }
  if (blank && !lines.next()) return Format::text;  // an empty file has no rows of any format
  fail(Kind::data, "{}: none of the first {} lines is a JSON object, so the format of its rows cannot be told; {}",
       path.string(), lines.number(), first);
}

/// Digest and size of the bytes up to the end of `rows_left` rows (all of them: nothing), which are counted off.
void measure(SourceFile& file, std::optional<std::int64_t>& rows_left, const Together& together) {
  Sha384 digest;
  if (rows_left && file.container != Container::document) {
    LineReader lines(file.path, file.container);
    while (*rows_left > 0 && lines.next()) {
      together.check();
      digest.add(lines.line());
      digest.add("\n");
      file.bytes = lines.offset() + lines.line().size() + 1;
      const std::string_view line = lines.line();
      if (!is_blank(lines.number() == 1 && line.starts_with(byte_order_mark) ? line.substr(3) : line)) --*rows_left;
    }
  } else {
    const auto bytes = ByteStream::open(file.path, file.container);
    std::string block(std::size_t{1} << 20, '\0');
    for (std::size_t got = 0; (got = bytes->read(block.data(), block.size())) > 0; file.bytes += got) {
      together.check();
      digest.add(block.data(), got);
    }
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

SourceFile described(const Path& path, const DatasetSource& source) {
  const std::string name = path.filename().string();
  SourceFile file;
  file.path = path;
  if (const auto format = unreadable_ending(name)) refuse_format(*format, path.string());
  const auto container = container_of(name);
  if (!container) fail(Kind::data, "datasets: {} does not end in one of {}", path.string(), readable_endings);
  file.container = *container;
  if (file.container == Container::document) {
    if (source.format && *source.format != Format::text) {
      fail(Kind::usage, "{} is one text, and rows of {} are wanted: give a .jsonl", path.string(),
           name_of(*source.format));
    }
    if (!source.columns.empty())
      fail(Kind::usage, "datasets: {} is one text and has no columns; remove `columns`", path.string());
    return file;
  }
  file.format = source.format ? *source.format : detect(path, file.container, source.columns);
  if (!readable(file.format)) refuse_format(file.format, path.string());
  return file;
}

std::vector<SourceFile> read_files(const DatasetSource& source, const ReadingTask& task, const Together& together) {
  std::vector<SourceFile> read;
  std::optional<std::int64_t> rows_left = task.rows;
  for (const Path& path : task.files) {
    if (rows_left && *rows_left == 0) break;
    SourceFile file = described(path, source);
    file.dataset = task.dataset;
    measure(file, rows_left, together);
    read.push_back(std::move(file));
  }
  return read;
}

/// Which of `sharers` does each task: the largest first, each to the one that has least to do.
std::vector<std::size_t> shared_out(const std::vector<ReadingTask>& tasks, std::size_t sharers) {
  std::vector<std::uintmax_t> sizes;
  for (const ReadingTask& task : tasks) {
    std::uintmax_t size = 1;
    std::error_code ignored;  // a file that is gone is an error of the one who reads it
    for (const Path& file : task.files) {
      const std::uintmax_t bytes = std::filesystem::file_size(file, ignored);
      size += ignored ? 0 : bytes;
    }
    sizes.push_back(size);
  }
  std::vector<std::size_t> order(tasks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });
  std::vector<std::size_t> who(tasks.size());
  std::vector<std::uintmax_t> load(sharers, 0);
  for (const std::size_t task : order) {
    const auto least = std::min_element(load.begin(), load.end());
    who[task] = static_cast<std::size_t>(least - load.begin());
    *least += sizes[task];
  }
  return who;
}

/// What a part has found out, as text for the others: an entry a task, null for those of others.
std::string text_of(const std::vector<std::optional<std::vector<SourceFile>>>& results) {
  Json all = Json::array();
  for (const auto& files : results) {
    all.push_back(files ? Json::array() : Json());
    for (const SourceFile& file : files ? *files : std::vector<SourceFile>()) {
      all.back().push_back({static_cast<int>(file.container), static_cast<int>(file.format), file.bytes, file.sha384,
                            file.byte_order_mark});
    }
  }
  return all.dump();
}

std::vector<SourceFile> files_of(const Json& entry, const ReadingTask& task) {
  if (entry.is_null()) fail(Kind::data, "{} changed while it was read: start again", task.files.front().string());
  std::vector<SourceFile> files;
  for (const Json& one : entry) {
    files.push_back({task.files.at(files.size()), task.dataset, static_cast<Container>(one.at(0).get<int>()),
                     static_cast<Format>(one.at(1).get<int>()), one.at(2).get<std::uint64_t>(),
                     one.at(3).get<std::string>(), one.at(4).get<bool>()});
  }
  return files;
}

/// The tasks that fall to this part, on all of its threads.
std::vector<std::optional<std::vector<SourceFile>>> own_results(const std::vector<DatasetSource>& datasets,
                                                                const std::vector<ReadingTask>& tasks,
                                                                const std::vector<bool>& mine,
                                                                const Together& together) {
  std::vector<std::optional<std::vector<SourceFile>>> results(tasks.size());
  std::vector<std::exception_ptr> errors(tasks.size());
#pragma omp parallel for schedule(dynamic)
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    try {
      if (mine[t]) results[t] = read_files(datasets[static_cast<std::size_t>(tasks[t].dataset)], tasks[t], together);
    } catch (...) {
      errors[t] = std::current_exception();
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  return results;
}

/// Parts that do not see the same files find it out here, before they make one store of them.
void compare(const std::vector<std::vector<SourceFile>>& read, const Together& together) {
  Sha384 digest;
  for (const auto& files : read) {
    for (const SourceFile& file : files) digest.add(fmt::format("{} {} {}\n", file.dataset, file.bytes, file.sha384));
  }
  const std::vector<std::string> digests = together.gather(digest.hex());
  for (std::size_t part = 1; part < digests.size(); ++part) {
    if (digests[part] == digests[0]) continue;
    fail_everywhere(Kind::data,
                    "datasets: rank {} does not read the same files as rank 0: give every host the same datasets, or a "
                    "file system that all of them see",
                    part);
  }
}

}  // namespace

std::vector<std::vector<SourceFile>> read_together(const std::vector<DatasetSource>& datasets,
                                                   const std::vector<ReadingTask>& tasks, const Together& together) {
  const auto place = std::find(together.same_files.begin(), together.same_files.end(), together.part);
  require(place != together.same_files.end(), "a part sees the files that it sees");
  std::vector<std::size_t> who;
  std::string text;
  all_or_none(together, [&] {
    who = shared_out(tasks, together.same_files.size());
    std::vector<bool> mine;
    mine.reserve(who.size());
    for (const std::size_t sharer : who) {
      mine.push_back(sharer == static_cast<std::size_t>(place - together.same_files.begin()));
    }
    text = text_of(own_results(datasets, tasks, mine, together));
  });
  const std::vector<std::string> texts = together.gather(text);
  std::vector<std::vector<SourceFile>> read;
  read.reserve(tasks.size());
  all_or_none(together, [&] {
    std::vector<Json> told;
    told.reserve(together.same_files.size());
    for (const int part : together.same_files) told.push_back(Json::parse(texts[static_cast<std::size_t>(part)]));
    for (std::size_t t = 0; t < tasks.size(); ++t) read.push_back(files_of(told[who[t]].at(t), tasks[t]));
  });
  compare(read, together);
  return read;
}

void refuse_format(Format format, const std::string& where) {
  fail(Kind::usage, "{}: {} is recognised but cannot be read yet; convert it to .jsonl with {}", where, name_of(format),
       readable_rows);
}

}  // namespace hearth
