#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/sha384.h"
#include "trainer/checkpoint.h"
#include "trainer/checkpoint_tiling.h"

namespace hearth {

namespace {

/// Reads every byte; throws when anything differs.
void verify(const Path& step_folder) {
  const CheckpointReader reader(step_folder);
}

/// The row length in which both the pieces and what is wanted are rectangles; where they are cut from matrices of
/// different widths, that of the pieces.
std::int64_t common_width(const Manifest::Entry& entry, const Stretch& wanted) {
  for (const Manifest::Piece& piece : entry.pieces) {
    if (piece.place.rows > 1) return piece.place.stride;
  }
  return wanted.rows > 1 ? wanted.stride : entry.dims.elements();
}

bool is_unfinished(const std::string& name) {
  return name.starts_with(".step-") && name.ends_with(".tmp");
}

void report_unfinished(const Path& output_dir, std::vector<std::string>& complaints) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(output_dir, error)) {
    if (is_unfinished(entry.path().filename().string())) names.push_back(entry.path().string());
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    complaints.push_back(name + " is an unfinished save: ignored, and removed by the next one");
  }
}

/// LATEST is a hint, but one that tells when a newer checkpoint vanished.
void report_missing(const Path& output_dir, const Path& newest, std::vector<std::string>& complaints) {
  const Path hint = output_dir / "LATEST";
  std::error_code error;
  if (!std::filesystem::is_regular_file(hint, error) || std::filesystem::file_size(hint, error) > 4096) return;
  std::string name = read_text(hint);
  while (name.ends_with('\n')) name.pop_back();
  const auto step = step_of(Path(name));
  if (step && *step > step_of(newest).value_or(0)) {
    complaints.push_back(fmt::format("{} names {}, and the newest checkpoint there is {}", hint.string(), name,
                                     newest.filename().string()));
  }
}

}  // namespace

std::optional<std::int64_t> step_of(const Path& step_folder) {
  constexpr std::string_view prefix = "step-";
  const std::string name =
      step_folder.has_filename() ? step_folder.filename().string() : step_folder.parent_path().filename().string();
  if (!name.starts_with(prefix)) return {};
  const std::string digits = name.substr(prefix.size());
  if (digits.empty() || (digits.size() > 1 && digits[0] == '0') ||
      digits.find_first_not_of("0123456789") != std::string::npos) {
    return {};
  }
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  return error == std::errc() ? std::optional(step) : std::nullopt;
}

std::vector<Path> checkpoints(const Path& output_dir) {
  std::vector<Path> found;
  std::error_code error;
  std::filesystem::directory_iterator entries(output_dir, error);
  if (error == std::errc::no_such_file_or_directory) return found;
  if (error) {
    fail(error == std::errc::permission_denied ? Kind::machine : Kind::storage, "cannot read {}: {}",
         output_dir.string(), error.message());
  }
  for (const auto& entry : entries) {
    if (step_of(entry.path())) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end(), [](const Path& a, const Path& b) { return *step_of(a) < *step_of(b); });
  return found;
}

std::optional<Path> newest_verified(const Path& output_dir, std::vector<std::string>& complaints) {
  const std::vector<Path> found = checkpoints(output_dir);
  report_unfinished(output_dir, complaints);
  if (found.empty()) return {};
  report_missing(output_dir, found.back(), complaints);
  std::string reasons;
  for (auto folder = found.rbegin(); folder != found.rend(); ++folder) {
    try {
      verify(*folder);
      return *folder;
    } catch (const Error& error) {
      if (error.kind() != Kind::integrity) throw;
      complaints.push_back(folder->string() + " is not used: " + error.text());
      reasons += "\n  " + error.text();
    }
  }
  fail(Kind::integrity,
       "{} holds {} checkpoints and none verifies; nothing was started over. Put a good copy there, or move them away "
       "to "
       "begin at step 0:{}",
       output_dir.string(), found.size(), reasons);
}

CheckpointReader::CheckpointReader(const Path& step_folder, Verify verify)
    : folder_(step_folder), read_(read_manifest(step_folder)) {
  if (const auto step = step_of(folder_); step && *step != state().step) {
    fail(Kind::integrity, "{} is the checkpoint of step {} under another name", folder_.string(), state().step);
  }
  if (verify == Verify::all) verify_files(folder_, manifest());
  parts_.resize(static_cast<std::size_t>(manifest().parts));
}

CheckpointReader::~CheckpointReader() = default;

std::vector<std::string> CheckpointReader::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : manifest().tensors) names.push_back(name);
  return names;
}

const Manifest::Entry& CheckpointReader::entry(std::string_view name) const {
  const auto found = manifest().tensors.find(name);
  if (found == manifest().tensors.end()) fail(Kind::data, "{} holds no parameter \"{}\"", folder_.string(), name);
  return found->second;
}

Dims CheckpointReader::dims(std::string_view name) const {
  return entry(name).dims;
}

const InFile& CheckpointReader::part(int index) const {
  auto& file = parts_[static_cast<std::size_t>(index)];
  if (!file) file = std::make_unique<InFile>(folder_ / part_name(index, manifest().parts));
  return *file;
}

void CheckpointReader::read(Role role, std::string_view name, std::int64_t begin, std::int64_t end, float* out) const {
  if (begin < 0 || end < begin) {
    fail(Kind::data, "{}: elements [{}, {}) of {} do not exist", folder_.string(), begin, end, name);
  }
  read(role, name, {begin, 1, end - begin, 0}, out, 0);
}

void CheckpointReader::read(Role role, std::string_view name, const Stretch& wanted, float* out,
                            std::int64_t out_pitch) const {
  const Manifest::Entry& whole = entry(name);
  const std::int64_t elements = whole.dims.elements();
  const bool nothing = wanted.rows == 1 && wanted.columns == 0 && wanted.begin >= 0 && wanted.begin <= elements;
  if (!nothing && !fits(wanted, elements)) {
    fail(Kind::data, "{}: elements {} of {} {} do not exist", folder_.string(), text_of(wanted), name,
         whole.dims.text());
  }
  if (role != Role::weight && !has_moments()) {
    fail(Kind::data, "{} holds weights alone (save_only_model): no run can go on from it", folder_.string());
  }
  if (nothing) return;
  const std::int64_t width = common_width(whole, wanted);
  if (wanted.rows == 1 || wanted.stride == width) {
    for (const Rectangle& part : rectangles_of(wanted, width, out_pitch)) read(role, whole, width, part, out);
    return;
  }
  for (std::int64_t row = 0; row < wanted.rows; ++row) {
    read(role, name, {wanted.begin + row * wanted.stride, 1, wanted.columns, 0}, out + row * out_pitch, 0);
  }
}

void CheckpointReader::read(Role role, const Manifest::Entry& whole, std::int64_t width, const Rectangle& wanted,
                            float* out) const {
  const Interval reach{wanted.rows.begin * width + wanted.columns.begin,
                       (wanted.rows.end - 1) * width + wanted.columns.end};
  for (const Manifest::Piece& piece : whole.pieces) {
    if (piece.place.begin >= reach.end) break;
    if (hull(piece.place).end <= reach.begin) continue;
    const std::int64_t offset = piece.at[static_cast<std::size_t>(role)];
    for (const Rectangle& held : rectangles_of(piece.place, width, piece.place.columns)) {
      const Interval rows = intersect(wanted.rows, held.rows);
      const Interval columns = intersect(wanted.columns, held.columns);
      if (rows.count() <= 0 || columns.count() <= 0) continue;
      const auto index_in = [&](const Rectangle& holder) {
        return holder.origin + rows.begin * holder.pitch + columns.begin;
      };
      const FileRows from{offset + index_in(held) * static_cast<std::int64_t>(sizeof(float)), rows.count(),
                          columns.count(), held.pitch};
      read_rows(part(piece.part), from, out + index_in(wanted), wanted.pitch, staging_, reads_);
    }
  }
}

std::optional<std::string> CheckpointReader::carried(std::string_view name) const {
  const auto names = carried_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) return {};
  const std::string bytes = read_text(folder_ / name);
  if (sha384(bytes) != manifest().files.find(name)->second.sha384) {
    fail(Kind::integrity, "{} was changed after it was verified", (folder_ / name).string());
  }
  return bytes;
}

std::vector<std::string> CheckpointReader::carried_names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : manifest().files) {
    if (!name.ends_with(".h5")) names.push_back(name);
  }
  return names;
}

}  // namespace hearth
