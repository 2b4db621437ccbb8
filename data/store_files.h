// The files of a token store that are not HDF5: counts, bad rows, the manifest. For token_store and store_writer.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "data/token_store.h"

namespace hearth::store_files {

inline constexpr std::string_view format = "hearth token store";
inline constexpr std::int64_t version = 1;
inline constexpr const char* manifest_name = "MANIFEST.json";
inline constexpr const char* index_name = "index.h5";
inline constexpr const char* bad_rows_name = "bad_rows.jsonl";
inline constexpr const char* counts_name = "counts.json";

std::string part_name(int part);  // part-00000.h5

std::string json_of(const std::vector<DatasetCounts>& counts);
/// Throws Kind::integrity naming `file`.
std::vector<DatasetCounts> counts_from(std::string_view json, const Path& file);
/// Adds up, dataset by dataset.
void add(std::vector<DatasetCounts>& into, const std::vector<DatasetCounts>& more);

std::string json_of(const BadRow& row);
BadRow bad_row_from(std::string_view json, const Path& file);

/// Throws Kind::integrity: `file` of a store is not what it should be. The text names it, `what`, and the remedy.
[[noreturn]] void damaged(const Path& file, const std::string& what);

/// Writes the manifest over the named files of a folder and syncs the folder. `known`: digests by name; others are found
/// out.
void write_manifest(const Path& folder, const std::string& key, int parts, const std::vector<std::string>& files,
                    const std::map<std::string, std::string>& known = {});
struct Manifest {
  std::string key;
  int parts = 0;
};
/// Which digests are compared: those of the files that fall to the first, second, ... of so many sharers. With none of
/// them, sizes alone are.
struct Share {
  std::size_t index = 0;
  std::size_t sharers = 1;
};
/// Reads the manifest and compares the files with it: the names and sizes of all, and the digests of a share. Throws
/// Kind::data where there is no manifest of a store, or one of an unknown version; Kind::integrity where a file is missing,
/// not listed, of another size or with another digest.
Manifest verified(const Path& folder, Share share);

}  // namespace hearth::store_files
