// What is in the files of datasets: each is read once, by one of the parts that see it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/sources.h"
#include "data/together.h"

namespace hearth {

/// The endings of files that can be read, for messages.
inline constexpr const char* readable_endings = ".txt, .md, .jsonl, .jsonl.zst";

/// Files of one dataset that are read one after the other.
struct ReadingTask {
  int dataset = 0;
  std::vector<Path> files;
  std::optional<std::int64_t> rows;  // no further than so many rows
};

/// For each task its files, as far as its rows reach: their digests, sizes and formats. A collective; the tasks are shared
/// out over the parts that see the same files, largest first, and each part works with its threads. All parts get the
/// same. Throws Kind::usage and Kind::data as find_sources does; Kind::data when parts do not see the same files.
std::vector<std::vector<SourceFile>> read_together(const std::vector<DatasetSource>& datasets,
                                                   const std::vector<ReadingTask>& tasks, const Together& together);

/// Throws Kind::usage: `where` has a format that is known and cannot be read yet.
[[noreturn]] void refuse_format(Format format, const std::string& where);

}  // namespace hearth
