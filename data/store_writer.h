// Makes token stores: each part tokenises its share and writes it alone, then one part joins them.
#pragma once

#include <memory>
#include <string>

#include "data/document.h"
#include "data/sources.h"
#include "data/together.h"
#include "data/token_store.h"

namespace hearth {

/// What becomes of the sources. Everything here, and the content of the sources, is in the store's key.
struct StoreRequest {
  const Sources* sources = nullptr;
  const Encoder* encoder = nullptr;  // null where every row brings its ids
  DocumentRules rules;
  std::int64_t vocabulary = 0;  // ids at or above it are refused; 0 = not known
};

/// 96 hexadecimal digits: the same for the same bytes, tokenizer and options, wherever the files lie.
std::string store_key(const StoreRequest& request);

/// Tokenises this part's share into `folder`. Neither speaks to the other parts nor waits for them. Rows that
/// cannot be read are written down, not thrown. Throws Kind::data, Kind::storage, Kind::machine.
void write_part(const Path& folder, const StoreRequest& request, const Together& together);
/// Joins the parts that write_part left in `folder`: index, counts, bad rows, and, last, the manifest.
void join_parts(const Path& folder, const std::string& key, int parts);

/// The store of a request: the one under `cache_dir`, or, where there is none, a new one made by all parts together. A
/// collective. An error on one part is thrown on every part. Half-made stores of jobs that are gone are removed.
std::shared_ptr<const TokenStore> open_or_build_store(const Path& cache_dir, const StoreRequest& request,
                                                      const Together& together);

}  // namespace hearth
