// Which files a recipe's datasets are, in which order, and what is in them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/format.h"
#include "data/row.h"
#include "data/together.h"

namespace hearth {

/// One entry of a recipe's `datasets`.
struct DatasetSource {
  std::string path;              // a file, a folder (read recursively, but for what begins with a dot) or a glob
                                 // (* ? [...]; no **)
  std::optional<Format> format;  // nothing: detected from the keys of each file's first row
  std::string split;             // of a folder: only files named SPLIT.*, SPLIT-* or below SPLIT/; empty: all
  double weight = 1;             // other than 1 is refused: mixing by weight is not there yet
  std::optional<std::int64_t> max_samples;  // the first rows of the dataset, in file order
  Columns columns;
};

struct SourceFile {
  Path path;
  int dataset = 0;  // which entry it belongs to
  Container container = Container::document;
  Format format = Format::text;
  std::uint64_t bytes = 0;  // decompressed, as far as max_samples reaches
  std::string sha384;       // of those bytes
  bool byte_order_mark = false;
};

/// "FILE, line N" of a row, "FILE" of a file that is one text whatever its lines: for messages.
std::string place_text(const SourceFile& file, std::int64_t line);

/// What was found and left alone while looking for files.
struct SourceNotes {
  std::map<std::string, std::int64_t> skipped;  // files of a folder by ending ("no ending", ".pdf", ...) or reason
  std::int64_t beyond_max_samples = 0;          // files that max_samples does not reach
};

struct Sources {
  std::vector<DatasetSource> datasets;
  std::vector<SourceFile> files;   // in the order of the datasets, within one by path (bytes compared)
  std::vector<SourceNotes> notes;  // one for each dataset
};

/// Finds every file and reads it once (digest, size, format of its rows): a collective of parts that share the work, and
/// all get the same. Throws Kind::usage for a request that cannot be met (weight, split of a file, unknown column, format
/// not there yet) and Kind::data for paths that are missing or hold no data, for rows that fit no format or two, and when
/// the parts do not see the same files.
Sources find_sources(const std::vector<DatasetSource>& datasets, const Together& together = {});

/// The refusals of find_sources that need nothing but the names of files: no file is read.
void check_sources(const std::vector<DatasetSource>& datasets);

}  // namespace hearth
