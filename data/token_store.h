// Documents as tokens, on disk: one HDF5 file a part, and an index that shows them as one.
//
// A store is a folder CACHE_DIR/KEY with
//   MANIFEST.json    the other files with size and SHA-384; written last, so a folder without it is no store
//   index.h5         attributes `format`, `version`, `key`; virtual datasets `tokens` and `labels` (i32) over the
//   parts;
//                    for D documents the i64 datasets `token_starts` (D + 1), `label_starts` (D + 1), `trained_from`,
//                    `file`, `line` (D): document d is tokens[token_starts[d] : token_starts[d + 1]]; its labels are
//                    labels[label_starts[d] : label_starts[d + 1]], or, where those are equal, its tokens from
//                    trained_from[d] on. Labels are not shifted, -1 = none. `file` counts the sources' files.
//   part-00000.h5    the same datasets for one part, `tokens` and `labels` stored end to end
//   bad_rows.jsonl   rows that could not be read: {"file", "line", "reason", "detail"}
//   counts.json      what was read
// Every file is verified against the manifest before HDF5 or a parser sees a byte of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace hearth {

/// What one dataset of a recipe gave. rows = documents + all bad rows.
struct DatasetCounts {
  std::int64_t rows = 0;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  std::int64_t trained = 0;  // tokens that something is trained to predict
  std::int64_t blank_lines = 0;
  std::map<std::string, std::int64_t> bad;              // rows by reason
  std::map<std::string, std::int64_t> unknown_columns;  // rows that have such a column
};

struct BadRow {
  std::int64_t file = 0;
  std::int64_t line = 0;
  std::string reason;
  std::string detail;
};

/// A complete store, mapped: pages are read when they are looked at, so that it may be larger than memory. What it
/// gives lives as long as it does. Reading is safe from several threads.
class TokenStore {
 public:
  /// Whether every digest is compared here, or was by the caller or the parts that share its files, a moment ago.
  enum class Digests { compare, compared };
  /// Throws Kind::data when the folder is no store, Kind::integrity when a file of it is not what the manifest says, or
  /// its contents do not agree with each other.
  explicit TokenStore(const Path& folder, Digests digests = Digests::compare);
  ~TokenStore();
  TokenStore(const TokenStore&) = delete;
  TokenStore& operator=(const TokenStore&) = delete;

  const std::string& key() const { return key_; }
  const Path& folder() const { return folder_; }
  std::int64_t documents() const { return static_cast<std::int64_t>(trained_from_.size()); }
  std::int64_t tokens() const { return token_starts_.back(); }
  std::int64_t length(std::int64_t document) const;
  std::span<const std::int32_t> tokens(std::int64_t document) const;
  /// One label a token, or nothing: then the tokens from trained_from on are their own labels.
  std::span<const std::int32_t> labels(std::int64_t document) const;
  std::int64_t trained_from(std::int64_t document) const { return trained_from_[at(document)]; }
  /// Into Sources::files, and from 1.
  std::int64_t file(std::int64_t document) const { return file_[at(document)]; }
  std::int64_t line(std::int64_t document) const { return line_[at(document)]; }
  const std::vector<DatasetCounts>& counts() const { return counts_; }  // one for each dataset
  std::int64_t bad_rows() const;
  /// The first rows that could not be read, at most `most`.
  std::vector<BadRow> first_bad_rows(std::size_t most) const;

 private:
  class Part;
  std::size_t at(std::int64_t document) const;
  const Part& part_of(std::int64_t document) const;
  void read_index();
  void check_index() const;
  void map_parts(int parts);

  Path folder_;
  std::string key_;
  std::vector<std::int64_t> token_starts_, label_starts_, trained_from_, file_, line_;
  std::vector<std::int64_t> part_ends_;  // the first document behind each part
  std::vector<std::unique_ptr<Part>> parts_;
  std::vector<DatasetCounts> counts_;
};

}  // namespace hearth
