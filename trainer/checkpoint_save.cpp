#include <algorithm>
#include <exception>
#include <memory>
#include <new>

#include "base/error.h"
#include "trainer/checkpoint.h"
#include "trainer/checkpoint_commit.h"
#include "trainer/checkpoint_exchange.h"
#include "trainer/checkpoint_file.h"
#include "trainer/checkpoint_part.h"

namespace hearth {

namespace {

using Json = nlohmann::json;

constexpr const char* index_name = "checkpoint.h5";

Json failure(Kind kind, const std::string& text) {
  return {{"failed", static_cast<int>(kind)}, {"text", text}};
}

/// What `work` returns, or its failure as an object: a rank that fails goes on to tell the others (invariant 3).
template <class Work>
Json attempt(Work work) {
  try {
    return work();
  } catch (const Error& error) {
    return failure(error.kind(), error.text());
  } catch (const std::bad_alloc&) {
    return failure(Kind::machine, "out of memory while saving");
  } catch (const std::exception& error) {
    return failure(Kind::internal,
                   std::string("internal error while saving: ") + error.what() + " (please report this)");
  }
}

bool failed(const Json& outcome) {
  return outcome.contains("failed");
}

/// Bytes that JSON can carry: names of files and texts of errors may hold any.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json report_of(const WrittenPart& part, std::span<const SavedPiece> pieces, bool moments) {
  Json list = Json::array();
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const SavedPiece& piece = pieces[i];
    Json dims = Json::array();
    for (int d = 0; d < piece.full.count; ++d) dims.push_back(piece.full[d]);
    const Stretch& place = part.pieces[i].place;
    list.push_back({{"name", piece.name},
                    {"dims", dims},
                    {"place", {place.begin, place.rows, place.columns, place.stride}},
                    {"at", part.pieces[i].at}});
  }
  return {{"bytes", part.file.bytes}, {"sha384", part.file.sha384}, {"moments", moments}, {"pieces", list}};
}

Json write_own_part(int rank, int parts, const Path& folder, std::span<const SavedPiece> pieces,
                    const SaveOptions& options) {
  const bool moments = !pieces.empty() && pieces.front().first_moment;
  const auto at_point = [&](std::string_view point) { reach(options, point); };
  return report_of(write_part(folder / part_name(rank, parts), pieces, moments, at_point), pieces, moments);
}

/// Adds a rank's part to the manifest.
void add_part(Manifest& manifest, int part, const Json& report) {
  manifest.files[part_name(part, manifest.parts)] = {report.at("bytes"), report.at("sha384")};
  for (const Json& item : report.at("pieces")) {
    require(report.at("moments") == manifest.moments, "all saved pieces have moments, or none");
    Dims dims;
    for (const Json& size : item.at("dims")) dims.size[static_cast<std::size_t>(dims.count++)] = size;
    auto [entry, fresh] = manifest.tensors.try_emplace(item.at("name"));
    if (fresh) entry->second.dims = dims;
    require(entry->second.dims == dims, "all ranks know a parameter by the same dims");
    const Json& place = item.at("place");
    entry->second.pieces.push_back({part, {place.at(0), place.at(1), place.at(2), place.at(3)}, item.at("at")});
  }
}

void check_carried_name(const std::string& name) {
  const bool plain = !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
                     name.find('\0') == std::string::npos && !name.ends_with(".h5") && !name.starts_with("MANIFEST");
  require(plain, "a carried file has a plain name that the checkpoint does not use itself");
}

/// A parameter that nobody saves would be missed only when the checkpoint is read, perhaps weeks later.
void check_names(const Manifest& manifest, const std::vector<std::string>& parameters) {
  if (parameters.empty()) return;
  for (const std::string& name : parameters) {
    if (manifest.tensors.contains(name)) continue;
    fail(Kind::internal, "internal error: no rank saves the parameter {} (please report this)", name);
  }
  require(manifest.tensors.size() == parameters.size(), "what ranks save are parameters of the model");
}

Manifest manifest_of(const std::vector<std::string>& reports, const RunState& state, const SaveOptions& options) {
  Manifest manifest;
  manifest.program = options.program;
  manifest.written = utc_now();
  manifest.parent = options.parent;
  manifest.parts = static_cast<int>(reports.size());
  manifest.state = state;
  std::vector<Json> parts;
  for (const std::string& report : reports) parts.push_back(Json::parse(report));
  manifest.moments = std::any_of(parts.begin(), parts.end(), [](const Json& part) { return part.at("moments"); });
  for (std::size_t i = 0; i < parts.size(); ++i) add_part(manifest, static_cast<int>(i), parts[i]);
  for (auto& [name, entry] : manifest.tensors) {
    std::sort(entry.pieces.begin(), entry.pieces.end(),
              [](const Manifest::Piece& a, const Manifest::Piece& b) { return a.place.begin < b.place.begin; });
  }
  check_pieces(manifest);
  check_names(manifest, options.parameters);
  return manifest;
}

Manifest::File write_carried(const Path& path, const std::string& bytes) {
  CheckpointFile file(path);
  file.write(bytes.data(), bytes.size());
  return {static_cast<std::int64_t>(bytes.size()), file.commit()};
}

/// Rank 0, once every part is on disk: everything else of the folder, the commit, LATEST and pruning.
Json finish(UnfinishedSave& save, const std::vector<std::string>& reports, const RunState& state,
            const CarriedFiles& carried, const SaveOptions& options) {
  reach(options, "collected");
  Manifest manifest = manifest_of(reports, state, options);
  for (const auto& [name, bytes] : carried) {
    check_carried_name(name);
    manifest.files[name] = write_carried(save.path() / name, bytes);
  }
  reach(options, "carried written");
  manifest.files[index_name] = write_index(save.path() / index_name, manifest);
  reach(options, "index written");
  const std::string digest = write_manifest(save.path(), manifest);
  reach(options, "manifest written");
  save.commit(options);
  std::vector<std::string> notes;
  point_latest_to(save.target(), options, notes);
  prune(save.target().parent_path(), save.target(), options, notes);
  std::int64_t bytes = 0;
  for (const auto& [name, file] : manifest.files) bytes += file.bytes;
  return {{"digest", digest}, {"bytes", bytes}, {"notes", notes}};
}

/// The first rank that failed, or an empty object.
Json first_failure(const std::vector<std::string>& reports) {
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    Json report = Json::parse(reports[rank]);
    if (!failed(report)) continue;
    const std::string text = report.at("text");
    return failure(report.at("failed").get<Kind>(), fmt::format("rank {}: {}", rank, text));
  }
  return Json::object();
}

SaveResult result_of(const Json& verdict, const Path& target) {
  SaveResult result;
  if (failed(verdict)) {
    result.kind = verdict.at("failed").get<Kind>();
    result.text = verdict.at("text");
    if (result.kind == Kind::internal) fail(Kind::internal, "{}", result.text);
    return result;
  }
  result.committed = true;
  result.folder = target;
  result.digest = verdict.at("digest");
  result.bytes = verdict.at("bytes");
  result.notes = verdict.at("notes").get<std::vector<std::string>>();
  return result;
}

}  // namespace

SaveResult save_checkpoint(Communicator& world, const Path& output_dir, const RunState& state,
                           std::span<const SavedPiece> pieces, const CarriedFiles& carried,
                           const SaveOptions& options) {
  const bool first = world.rank() == 0;
  const Path target = output_dir / fmt::format("step-{}", state.step);
  std::unique_ptr<UnfinishedSave> save;  // rank 0's
  Json prepared;
  if (first) {
    prepared = attempt([&]() -> Json {
      save = std::make_unique<UnfinishedSave>(output_dir, state.step);
      reach(options, "prepared");
      return {{"folder", save->path().filename().string()}};
    });
  }
  prepared = Json::parse(spread(world, first ? dump(prepared) : ""));
  if (failed(prepared)) return result_of(prepared, target);

  const Path folder = output_dir / prepared.at("folder").get<std::string>();
  const Json own = attempt([&] { return write_own_part(world.rank(), world.size(), folder, pieces, options); });
  const std::vector<std::string> reports = collect(world, dump(own));
  Json verdict;
  if (first) {
    verdict = attempt([&] {
      const Json failure_of_a_part = first_failure(reports);
      return failed(failure_of_a_part) ? failure_of_a_part : finish(*save, reports, state, carried, options);
    });
    save.reset();  // removes what was not committed
  }
  return result_of(Json::parse(spread(world, first ? dump(verdict) : "")), target);
}

}  // namespace hearth
