#include "data/store_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/sha384.h"

namespace hearth::store_files {

namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

/// Parses, and turns every complaint of the parser or of a wrong type into one of hearth's.
template <class Use>
auto parsed(std::string_view text, const Path& file, Use use) {
  try {
    return use(Json::parse(text));
  } catch (const Json::exception& error) {
    damaged(file, fmt::format("it does not hold the JSON that belongs there ({})", error.what()));
  }
}

/// Only plain names: nothing of a manifest leads out of its folder.
void check_name(const std::string& name, const Path& where) {
  const Path path = name;
  if (name.empty() || path.filename() != path || name == "." || name == ".." || name == manifest_name) {
    damaged(where, fmt::format("it lists a file named `{}`, and only plain names belong there", name));
  }
}

void check_size(const Path& path, std::uintmax_t size) {
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(path, error)))
    damaged(path, "it is not there, and the manifest lists it");
  const std::uintmax_t actual = fs::file_size(path);
  if (actual != size) damaged(path, fmt::format("it has {} bytes, and the manifest says {}", actual, size));
}

void check_digest(const Path& path, const std::string& digest) {
  if (sha384_of_file(path) != digest) damaged(path, "its SHA-384 is not the one in the manifest");
}

struct Listed {
  std::string name;
  std::uintmax_t size = 0;
  std::string digest;
};

/// The largest files first, each to the sharer that has least to do.
void check_digests(const Path& folder, std::vector<Listed> files, Share share) {
  std::stable_sort(files.begin(), files.end(), [](const Listed& a, const Listed& b) { return a.size > b.size; });
  std::vector<std::uintmax_t> load(share.sharers, 0);
  for (const Listed& file : files) {
    const auto least = std::min_element(load.begin(), load.end());
    if (least == load.end()) return;
    if (static_cast<std::size_t>(least - load.begin()) == share.index) check_digest(folder / file.name, file.digest);
    *least += file.size + 1;
  }
}

}  // namespace

void damaged(const Path& file, const std::string& what) {
  fail(Kind::integrity, "{}: {}. This token store is damaged: remove the folder {} and start the same command again",
       file.string(), what, file.parent_path().string());
}

std::string part_name(int part) {
  return fmt::format("part-{:05}.h5", part);
}

std::string json_of(const std::vector<DatasetCounts>& counts) {
  Json list = Json::array();
  for (const DatasetCounts& one : counts) {
    list.push_back({{"rows", one.rows},
                    {"documents", one.documents},
                    {"tokens", one.tokens},
                    {"trained", one.trained},
                    {"blank_lines", one.blank_lines},
                    {"bad", one.bad},
                    {"unknown_columns", one.unknown_columns}});
  }
  return list.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::vector<DatasetCounts> counts_from(std::string_view json, const Path& file) {
  return parsed(json, file, [](const Json& list) {
    std::vector<DatasetCounts> counts;
    for (const Json& item : list) {
      DatasetCounts one;
      item.at("rows").get_to(one.rows);
      item.at("documents").get_to(one.documents);
      item.at("tokens").get_to(one.tokens);
      item.at("trained").get_to(one.trained);
      item.at("blank_lines").get_to(one.blank_lines);
      item.at("bad").get_to(one.bad);
      item.at("unknown_columns").get_to(one.unknown_columns);
      counts.push_back(std::move(one));
    }
    return counts;
  });
}

void add(std::vector<DatasetCounts>& into, const std::vector<DatasetCounts>& more) {
  if (into.empty()) into.resize(more.size());
  require(into.size() == more.size(), "parts of one store have the same datasets");
  for (std::size_t i = 0; i < more.size(); ++i) {
    into[i].rows += more[i].rows;
    into[i].documents += more[i].documents;
    into[i].tokens += more[i].tokens;
    into[i].trained += more[i].trained;
    into[i].blank_lines += more[i].blank_lines;
    for (const auto& [reason, count] : more[i].bad) into[i].bad[reason] += count;
    for (const auto& [column, count] : more[i].unknown_columns) into[i].unknown_columns[column] += count;
  }
}

std::string json_of(const BadRow& row) {
  return Json({{"file", row.file}, {"line", row.line}, {"reason", row.reason}, {"detail", row.detail}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

BadRow bad_row_from(std::string_view json, const Path& file) {
  return parsed(json, file, [](const Json& item) {
    return BadRow{item.at("file").get<std::int64_t>(), item.at("line").get<std::int64_t>(),
                  item.at("reason").get<std::string>(), item.at("detail").get<std::string>()};
  });
}

void write_manifest(const Path& folder, const std::string& key, int parts, const std::vector<std::string>& files,
                    const std::map<std::string, std::string>& known) {
  Json list = Json::array();
  for (const std::string& name : files) {
    const auto digest = known.find(name);
    list.push_back({{"name", name},
                    {"size", fs::file_size(folder / name)},
                    {"sha384", digest == known.end() ? sha384_of_file(folder / name) : digest->second}});
  }
  const Json content = {{"format", format}, {"version", version}, {"key", key}, {"parts", parts}, {"files", list}};
  write_file(folder / manifest_name, content.dump(1) + "\n");
}

Manifest verified(const Path& folder, Share share) {
  const Path path = folder / manifest_name;
  if (!fs::exists(path))
    fail(Kind::data, "{} is not a complete token store: it has no {}; name a folder that `hearth prepare` made",
         folder.string(), manifest_name);
  std::set<std::string> listed = {manifest_name};
  std::vector<Listed> files;
  Manifest found = parsed(read_text(path), path, [&](const Json& content) {
    if (content.at("format").get<std::string>() != format)
      fail(Kind::data, "{} is not the manifest of a token store: its format is `{}`", path.string(),
           content.at("format").get<std::string>());
    if (const auto is = content.at("version").get<std::int64_t>(); is != version) {
      fail(Kind::data,
           "{}: this hearth reads version {} of the token store, and not version {}; use the hearth that wrote it, or "
           "remove the folder {} and start the same command again",
           path.string(), version, is, folder.string());
    }
    for (const Json& file : content.at("files")) {
      const auto name = file.at("name").get<std::string>();
      check_name(name, path);
      if (!listed.insert(name).second) damaged(path, fmt::format("it lists {} twice", name));
      files.push_back({name, file.at("size").get<std::uintmax_t>(), file.at("sha384").get<std::string>()});
      check_size(folder / name, files.back().size);
    }
    return Manifest{content.at("key").get<std::string>(), content.at("parts").get<int>()};
  });
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!listed.contains(entry.path().filename().string()))
      damaged(entry.path(), "it is there, and the manifest does not list it");
  }
  if (found.parts < 1 || static_cast<std::size_t>(found.parts) > listed.size())
    damaged(path, fmt::format("it claims {} parts, and lists {} files", found.parts, files.size()));
  for (int part = 0; part < found.parts; ++part) {
    if (!listed.contains(part_name(part))) damaged(path, fmt::format("it does not list {}", part_name(part)));
  }
  for (const char* name : {index_name, bad_rows_name, counts_name}) {
    if (!listed.contains(name)) damaged(path, fmt::format("it does not list {}", name));
  }
  check_digests(folder, files, share);
  return found;
}

}  // namespace hearth::store_files
