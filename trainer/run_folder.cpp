#include "trainer/run_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/sha384.h"
#include "trainer/manifest.h"

namespace hearth {

namespace {

constexpr const char* record_name = "run.json";
constexpr std::string_view format_name = "hearth run";
constexpr int format_version = 1;

/// What a start that was cut short before run.json was there may leave behind, and what a file system puts at its root.
bool is_harmless(const std::string& name) {
  return name == "run.lock" || name == "lost+found" || (name.starts_with(".run.json.") && name.ends_with(".tmp"));
}

std::vector<std::string> foreign_names(const Path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) {
    fail(error == std::errc::permission_denied ? Kind::machine : Kind::storage, "cannot read the folder {}: {}",
         folder.string(), error.message());
  }
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (!is_harmless(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// What make_folder would say of a folder that is not there yet.
void refuse_uncreatable(const Path& folder) {
  Path above = std::filesystem::absolute(folder).lexically_normal();
  std::error_code ignored;
  while (!std::filesystem::exists(above, ignored) && above != above.root_path()) above = above.parent_path();
  const int error = !std::filesystem::is_directory(above, ignored)                       ? ENOTDIR
                    : ::faccessat(AT_FDCWD, above.c_str(), W_OK | X_OK, AT_EACCESS) != 0 ? errno
                                                                                         : 0;
  if (error == 0) return;
  fail(error == ENOTDIR ? Kind::usage : Kind::machine, "cannot create the folder {}: {}{}", folder.string(),
       std::strerror(error), error == ENOTDIR ? "; name another" : "");
}

RunRecord parse_record(const std::string& text, const std::string& place) {
  try {
    const auto json = nlohmann::json::parse(text);
    if (json.at("format") != format_name) fail(Kind::integrity, "{} does not describe a run of hearth", place);
    if (json.at("version") != format_version) {
      fail(Kind::data, "{} has format version {}; this hearth knows version {}: use the hearth that wrote it", place,
           json.at("version").dump(), format_version);
    }
    RunRecord record{json.at("recipe"), json.at("program"), json.at("created")};
    if (json.at("recipe_sha384") != sha384(record.recipe)) {
      fail(Kind::integrity, "{}: the recipe in it was changed, its SHA-384 differs", place);
    }
    return record;
  } catch (const nlohmann::json::exception& error) {
    fail(Kind::integrity, "{} is broken: {}", place, error.what());
  }
}

}  // namespace

std::optional<RunRecord> run_record(const Path& output_dir) {
  const Path path = output_dir / record_name;
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path, error);
  if (!std::filesystem::exists(status)) return {};
  if (!std::filesystem::is_regular_file(status)) fail(Kind::integrity, "{} is no plain file", path.string());
  if (std::filesystem::file_size(path, error) > (std::uintmax_t{16} << 20)) {
    fail(Kind::integrity, "{} cannot be what hearth wrote: it is larger than 16 MiB", path.string());
  }
  return parse_record(read_text(path), path.string());
}

std::optional<RunRecord> look_at_run_folder(const Path& output_dir) {
  std::error_code error;
  const auto status = std::filesystem::status(output_dir, error);
  if (!std::filesystem::exists(status)) {
    refuse_uncreatable(output_dir);
    return {};
  }
  if (!std::filesystem::is_directory(status)) {
    fail(Kind::usage, "output_dir {} is a file: name a folder", output_dir.string());
  }
  if (::faccessat(AT_FDCWD, output_dir.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
    fail(Kind::machine, "cannot write to output_dir {}: {}", output_dir.string(), std::strerror(errno));
  }
  if (auto record = run_record(output_dir)) return record;
  if (const auto names = foreign_names(output_dir); !names.empty()) {
    fail(Kind::usage, "output_dir {} holds {} and no run of hearth ({} is missing): name an empty or a new folder",
         output_dir.string(), names.size() == 1 ? names[0] : fmt::format("{} and {} more", names[0], names.size() - 1),
         record_name);
  }
  return {};
}

std::optional<RunRecord> make_run_folder(const Path& output_dir) {
  std::error_code error;
  if (!std::filesystem::exists(output_dir, error)) make_folder(output_dir);
  return look_at_run_folder(output_dir);
}

void write_run_record(const Path& output_dir, RunRecord record) {
  if (record.created.empty()) record.created = utc_now();
  nlohmann::ordered_json json;
  json["format"] = format_name;
  json["version"] = format_version;
  json["program"] = record.program;
  json["created"] = record.created;
  json["recipe_sha384"] = sha384(record.recipe);
  json["recipe"] = record.recipe;
  try {
    write_file(output_dir / record_name, json.dump(1) + "\n");
  } catch (const nlohmann::json::exception& error) {
    fail(Kind::internal, "internal error: a run's record cannot be written as JSON: {} (please report this)",
         error.what());
  }
}

}  // namespace hearth
