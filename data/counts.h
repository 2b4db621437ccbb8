// What became of every row and token, for people and for programs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/sources.h"
#include "data/token_store.h"

namespace hearth {

struct Lost {
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
};

/// What was read: one entry for each dataset of the recipe. rows = documents + bad rows.
struct ReadCounts {
  std::string path;
  std::int64_t files = 0;
  std::int64_t byte_order_marks = 0;
  std::map<std::string, std::int64_t> formats;  // files by the format of their rows
  SourceNotes notes;
  DatasetCounts counts;
};

/// What is trained on, or held out. documents and tokens = those of the rows, plus those that were dropped and cut.
struct SetCounts {
  std::int64_t documents = 0;  // given to this set (pieces of documents, where those were held out)
  std::int64_t given_tokens = 0;
  std::map<std::string, Lost> dropped;  // whole documents or pieces left out, by reason
  Lost truncated;                       // documents cut short, and the tokens cut off
  std::int64_t split = 0;               // documents that became several pieces
  std::int64_t pieces = 0;              // after that
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  std::int64_t trained = 0;
  std::int64_t longest_row = 0;
  std::int64_t cutoff_len = 0;
  /// Tokens by slots of full rows, 0 to 1.
  double fill() const { return rows == 0 ? 0 : static_cast<double>(tokens) / static_cast<double>(rows * cutoff_len); }
};

struct Counts {
  std::vector<ReadCounts> read;       // datasets
  std::vector<ReadCounts> read_eval;  // eval_dataset
  SetCounts train;
  SetCounts eval;                 // all 0 without held-out rows
  std::string store, eval_store;  // folders
  std::string side_file;          // where rows that were left out or cut are listed; empty: there are none
  std::vector<std::string> remarks;

  std::string text() const;  // lines for a terminal, each ended
  /// "3 rows were left out, 1 row was cut short: see PATH", or nothing. (Documents that were split lost nothing.)
  std::string losses() const;
  std::string json() const;  // one object
};

/// The counts of the sources of a store.
std::vector<ReadCounts> read_counts(const Sources& sources, const TokenStore& store);

}  // namespace hearth
