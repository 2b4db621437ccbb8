#include "trainer/manifest.h"

#include <algorithm>
#include <ctime>

#include "base/error.h"
#include "base/sha384.h"
#include "trainer/checkpoint_tiling.h"
#include "trainer/manifest_json.h"

namespace hearth {

namespace {

constexpr std::string_view manifest_name = "MANIFEST.json";
constexpr std::string_view digest_name = "MANIFEST.sha384";
constexpr std::uintmax_t largest_manifest = std::uintmax_t{1} << 30;

/// The line that `sha384sum --check` reads.
std::string digest_line(const std::string& digest) {
  return fmt::format("{}  {}\n", digest, manifest_name);
}

/// A file of a checkpoint that cannot be read (gone, an I/O error) is a broken checkpoint, not wrong input.
template <class Reading>
std::string read_or_broken(Reading reading) {
  try {
    return reading();
  } catch (const Error& error) {
    if (error.kind() == Kind::data) fail(Kind::integrity, "{}", error.text());
    throw;
  }
}

/// Every file in the folder by name. Throws for anything that is not a plain file.
std::vector<std::string> files_in(const Path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) {
    fail(error == std::errc::permission_denied ? Kind::machine : Kind::integrity, "cannot read {}: {}", folder.string(),
         error.message());
  }
  for (const auto& entry : entries) {
    if (!std::filesystem::is_regular_file(entry.symlink_status())) {
      fail(Kind::integrity, "{} is no plain file; a checkpoint holds nothing else", entry.path().string());
    }
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string_view group_of(Role role) {
  switch (role) {
    case Role::weight:
      return "weights";
    case Role::first_moment:
      return "first_moment";
    case Role::second_moment:
      return "second_moment";
  }
  fail(Kind::internal, "internal error: a role that does not exist (please report this)");
}

std::string utc_now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string part_name(int part, int parts) {
  return fmt::format("part-{:05}-of-{:05}.h5", part, parts);
}

bool is_parameter_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  return !name.empty() && name.size() <= 255 && name.find_first_not_of('.') != std::string_view::npos &&
         std::all_of(name.begin(), name.end(), fits);
}

std::int64_t Manifest::elements() const {
  std::int64_t total = 0;
  for (const auto& [name, entry] : tensors) total += entry.dims.elements();
  return total;
}

int Manifest::version() const {
  for (const auto& [name, entry] : tensors) {
    for (const Piece& piece : entry.pieces) {
      if (piece.place.rows != 1) return 2;
    }
  }
  return 1;
}

std::string tiling_fault(const Manifest::Entry& entry) {
  std::vector<Stretch> places;
  places.reserve(entry.pieces.size());
  for (const Manifest::Piece& piece : entry.pieces) places.push_back(piece.place);
  return tiling_fault(places, entry.dims.elements());
}

void check_pieces(const Manifest& manifest) {
  for (const auto& [name, entry] : manifest.tensors) {
    if (!is_parameter_name(name)) {
      fail(Kind::internal, "internal error: \"{}\" cannot be the name of a parameter (please report this)", name);
    }
    if (const std::string fault = tiling_fault(entry); !fault.empty()) {
      fail(Kind::internal, "internal error: what ranks save is not each element once: {} of {} {} (please report this)",
           fault, name, entry.dims.text());
    }
  }
}

std::string write_manifest(const Path& folder, const Manifest& manifest) {
  const std::string text = manifest.text();
  const std::string digest = sha384(text);
  write_file(folder / manifest_name, text);
  write_file(folder / digest_name, digest_line(digest));
  return digest;
}

ReadManifest read_manifest(const Path& folder) {
  std::error_code error;
  for (const std::string_view name : {manifest_name, digest_name}) {
    const Path path = folder / name;
    if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(path, error))) {
      fail(Kind::integrity, "{} has no {}", folder.string(), name);
    }
    const auto bytes = std::filesystem::file_size(path, error);
    if (error || bytes > (name == digest_name ? 4096 : largest_manifest)) {
      fail(Kind::integrity, "{} cannot be what hearth wrote: {} bytes", path.string(), bytes);
    }
  }
  ReadManifest read;
  const std::string text = read_or_broken([&] { return read_text(folder / manifest_name); });
  read.digest = sha384(text);
  if (read_or_broken([&] { return read_text(folder / digest_name); }) != digest_line(read.digest)) {
    fail(Kind::integrity, "{} does not match {}: one of them was changed", (folder / manifest_name).string(),
         digest_name);
  }
  read.manifest = parse_manifest(text, (folder / manifest_name).string());
  return read;
}

void verify_files(const Path& folder, const Manifest& manifest) {
  for (const std::string& name : files_in(folder)) {
    if (name != manifest_name && name != digest_name && !manifest.files.contains(name)) {
      fail(Kind::integrity, "{} is not listed in {}", (folder / name).string(), manifest_name);
    }
  }
  for (const auto& [name, file] : manifest.files) {
    const Path path = folder / name;
    std::error_code error;
    const auto bytes = std::filesystem::file_size(path, error);
    if (error) fail(Kind::integrity, "{} is missing", path.string());
    if (bytes != static_cast<std::uintmax_t>(file.bytes)) {
      fail(Kind::integrity, "{} has {} bytes instead of {}", path.string(), bytes, file.bytes);
    }
    const std::string digest = read_or_broken([&] { return sha384_of_file(path); });
    if (digest != file.sha384) {
      fail(Kind::integrity, "{} was changed: its SHA-384 is {} instead of {}", path.string(), digest, file.sha384);
    }
  }
}

}  // namespace hearth
