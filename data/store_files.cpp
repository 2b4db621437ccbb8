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
auto parsed(std::string_view text, const std::string& where, Use use) {
  try {
    return use(Json::parse(text));
  } catch (const Json::exception& error) {
    fail(Kind::data, "{}: {}", where, error.what());
  }
}

/// Only plain names: nothing of a manifest leads out of its folder.
void check_name(const std::string& name, const Path& where) {
  const Path path = name;
  if (name.empty() || path.filename() != path || name == "." || name == ".." || name == manifest_name) {
    fail(Kind::data, "{} lists a file named `{}`", where.string(), name);
  }
}

void check_size(const Path& path, std::uintmax_t size) {
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(path, error)))
    fail(Kind::data, "{} is listed in its manifest and is not there", path.string());
  const std::uintmax_t actual = fs::file_size(path);
  if (actual != size)
    fail(Kind::data,
         "{} has {} bytes, its manifest says {}: the token store is damaged; remove its folder and prepare again",
         path.string(), actual, size);
}

void check_digest(const Path& path, const std::string& digest) {
  if (sha384_of_file(path) != digest)
    fail(Kind::data,
         "{} is not what its manifest says (SHA-384 differs): the token store is damaged; remove its folder and "
         "prepare again",
         path.string());
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

std::vector<DatasetCounts> counts_from(std::string_view json, const std::string& where) {
  return parsed(json, where, [](const Json& list) {
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

BadRow bad_row_from(std::string_view json, const std::string& where) {
  return parsed(json, where, [](const Json& item) {
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
    fail(Kind::data, "{} is no complete token store: it has no {}", folder.string(), manifest_name);
  std::set<std::string> listed = {manifest_name};
  std::vector<Listed> files;
  const Manifest found = parsed(read_text(path), path.string(), [&](const Json& content) {
    if (content.at("format").get<std::string>() != format)
      fail(Kind::data, "{} is not the manifest of a token store", path.string());
    if (const auto is = content.at("version").get<std::int64_t>(); is != version) {
      fail(Kind::data, "{}: version {} of the token store is unknown, this hearth reads version {}", path.string(), is,
           version);
    }
    for (const Json& file : content.at("files")) {
      const auto name = file.at("name").get<std::string>();
      check_name(name, path);
      if (!listed.insert(name).second) fail(Kind::data, "{} lists {} twice", path.string(), name);
      files.push_back({name, file.at("size").get<std::uintmax_t>(), file.at("sha384").get<std::string>()});
      check_size(folder / name, files.back().size);
    }
    return Manifest{content.at("key").get<std::string>(), content.at("parts").get<int>()};
  });
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!listed.contains(entry.path().filename().string()))
      fail(Kind::data, "{} is not listed in the manifest of its token store", entry.path().string());
  }
  if (found.parts < 1 || static_cast<std::size_t>(found.parts) > listed.size())
    fail(Kind::data, "{} claims {} parts", path.string(), found.parts);
  for (int part = 0; part < found.parts; ++part) {
    if (!listed.contains(part_name(part))) fail(Kind::data, "{} does not list {}", path.string(), part_name(part));
  }
  for (const char* name : {index_name, bad_rows_name, counts_name}) {
    if (!listed.contains(name)) fail(Kind::data, "{} does not list {}", path.string(), name);
  }
  check_digests(folder, files, share);
  return found;
}

}  // namespace hearth::store_files
