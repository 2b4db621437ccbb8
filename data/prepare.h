// From a recipe's data section to datasets: what `hearth prepare` and `hearth train` have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/file.h"
#include "data/counts.h"
#include "data/dataset.h"
#include "data/document.h"
#include "data/encoder.h"
#include "data/packing.h"
#include "data/sources.h"
#include "data/together.h"

namespace hearth {

/// What becomes of a document that is longer than cutoff_len.
enum class Overflow { raise, drop, truncate, split };
/// What becomes of rows that cannot be used: nothing is prepared, or they are left out, up to a limit.
enum class BadRows { error, drop };

struct DataOptions {
  std::vector<DatasetSource> datasets;
  std::shared_ptr<const Sources> found;  // find_sources(datasets), where the caller has it; null: done here
  std::vector<DatasetSource> eval_datasets;
  DocumentRules rules = {DataStage::sft, false};
  std::int64_t cutoff_len = 2048;  // tokens a row
  Packing packing = Packing::bfd;
  Overflow overflow = Overflow::raise;
  double val_size = 0;  // below 1: a share; else a number of documents
  std::uint64_t seed = 42;
  BadRows bad_rows = BadRows::error;
  std::optional<std::int64_t> bad_rows_limit;  // the most rows that may be left out; needed when bad_rows is drop
  std::int64_t vocabulary = 0;                 // of the model; 0 = not known
  Path cache_dir;                              // token stores
  Path side_folder;                            // where `left_out_rows.jsonl` goes; empty: cache_dir
  bool by_recipe = true;                       // there is a side file, and messages may name keys of a recipe
};

struct Prepared {
  Dataset train;
  std::optional<Dataset> eval;
  Counts counts;
};

/// Every complaint about the options that needs no file, as whole sentences; empty when they can be met.
std::vector<std::string> complaints(const DataOptions& options);

/// Reads, tokenises (unless the store is there), holds out, and packs. A collective: every part gets the same datasets,
/// and an error on one is thrown on all. `encoder` may be null when every row brings its ids. Rows that are left out or
/// cut are counted by reason and listed in the side file by part 0, before any error about them is thrown. Throws
/// Kind::usage (a request that cannot be met), Kind::data (files, rows; an empty corpus; a corpus shorter than one
/// row), Kind::storage, Kind::machine.
Prepared prepare(const DataOptions& options, const Encoder* encoder, const Together& together);

}  // namespace hearth
