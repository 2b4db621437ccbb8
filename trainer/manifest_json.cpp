#include "trainer/manifest_json.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/sha384.h"
#include "trainer/checkpoint_tiling.h"

namespace hearth {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view format_name = "hearth checkpoint";
constexpr int newest_version = 2;

/// JSON has no word for infinity and NaN, and its writer would say null.
void check_finite(const nlohmann::json& value, const std::string& place) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    fail(Kind::internal, "internal error: {} of a checkpoint's state is {} (please report this)", place,
         value.get<double>());
  }
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) check_finite(item, place + "." + key);
  }
  if (value.is_array()) {
    for (const auto& item : value) check_finite(item, place + "[]");
  }
}

Json number_or_name(const std::optional<double>& value) {
  if (!value) return nullptr;
  if (std::isfinite(*value)) return *value;
  return std::isnan(*value) ? "nan" : *value > 0 ? "inf" : "-inf";
}

Json state_to_json(const RunState& state) {
  check_finite(state.more, "more");
  Json json;
  json["step"] = state.step;
  json["row"] = state.row;
  json["rows_of_epoch"] = state.rows_of_epoch;
  json["microbatches"] = state.microbatches;
  json["microbatch_rows"] = state.microbatch_rows;
  json["seed"] = state.seed;
  json["tokens"] = state.tokens;
  json["trained_tokens"] = state.trained_tokens;
  json["last_loss"] = number_or_name(state.last_loss);
  json["best_eval_loss"] = number_or_name(state.best_eval_loss);
  json["recipe"] = state.recipe;
  json["more"] = state.more;
  return json;
}

Json file_to_json(const Manifest::File& file) {
  return {{"bytes", file.bytes}, {"sha384", file.sha384}};
}

Json entry_to_json(const Manifest::Entry& entry, bool moments) {
  Json dims = Json::array();
  for (int i = 0; i < entry.dims.count; ++i) dims.push_back(entry.dims[i]);
  Json pieces = Json::array();
  for (const Manifest::Piece& piece : entry.pieces) {
    const Stretch& place = piece.place;
    Json numbers = Json::array({piece.part});
    if (place.rows == 1) {
      numbers.insert(numbers.end(), {place.begin, place.begin + place.columns});
    } else {
      numbers.push_back({place.begin, place.rows, place.columns, place.stride});
    }
    for (std::size_t i = 0; i < (moments ? 3U : 1U); ++i) numbers.push_back(piece.at[i]);
    pieces.push_back(numbers);
  }
  return {{"dims", dims}, {"pieces", pieces}};
}

/// An object with one line for each of its values.
template <class Map, class ToJson>
std::string lines_of(const Map& map, ToJson to_json) {
  std::string text = "{";
  for (const auto& [name, value] : map) {
    text += fmt::format("{}\n {}: {}", text.size() > 1 ? "," : "", Json(name).dump(), to_json(value).dump());
  }
  return text + "}";
}

/// Reads fields of one object and says which one is wrong.
class Fields {
 public:
  Fields(const Json& json, std::string place) : json_(json), place_(std::move(place)) {
    if (!json.is_object()) refuse("is no object");
  }

  [[noreturn]] void refuse(const std::string& why) const { fail(Kind::integrity, "{} {}", place_, why); }
  const Json& at(const std::string& key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) refuse("lacks \"" + key + "\"");
    return *found;
  }
  std::string text(const std::string& key) const {
    if (!at(key).is_string()) refuse("has a \"" + key + "\" that is no text");
    return at(key).get<std::string>();
  }
  bool flag(const std::string& key) const {
    if (!at(key).is_boolean()) refuse("has a \"" + key + "\" that is neither true nor false");
    return at(key).get<bool>();
  }
  std::int64_t count(const std::string& key) const { return count(at(key), key); }
  std::int64_t count(const Json& value, const std::string& key) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
      refuse("has a \"" + key + "\" that is no whole number from 0: " + value.dump());
    }
    return value.get<std::int64_t>();
  }
  std::optional<double> loss(const std::string& key) const {
    const Json& value = at(key);
    if (value.is_null()) return {};
    if (value.is_number()) return value.get<double>();
    const double infinity = std::numeric_limits<double>::infinity();
    if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (value == "inf") return infinity;
    if (value == "-inf") return -infinity;
    refuse("has a \"" + key + "\" that is no number");
  }
  Fields object(const std::string& key) const { return {at(key), place_ + ", " + key}; }
  const Json& json() const { return json_; }
  const std::string& place() const { return place_; }

 private:
  const Json& json_;
  std::string place_;
};

RunState state_from(const Fields& fields) {
  RunState state;
  state.step = fields.count("step");
  state.row = fields.count("row");
  state.rows_of_epoch = fields.count("rows_of_epoch");
  state.microbatches = fields.count("microbatches");
  state.microbatch_rows = fields.count("microbatch_rows");
  if (!fields.at("seed").is_number_unsigned()) fields.refuse("has a \"seed\" that is no whole number from 0");
  state.seed = fields.at("seed").get<std::uint64_t>();
  state.tokens = fields.count("tokens");
  state.trained_tokens = fields.count("trained_tokens");
  state.last_loss = fields.loss("last_loss");
  state.best_eval_loss = fields.loss("best_eval_loss");
  state.recipe = fields.text("recipe");
  if (!fields.at("more").is_object()) fields.refuse("has a \"more\" that is no object");
  state.more = nlohmann::json(fields.at("more"));
  return state;
}

bool is_digest(std::string_view text) {
  return text.size() == 96 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Manifest::File file_from(const std::string& name, const Fields& fields) {
  const bool plain = !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
                     name.find('\0') == std::string::npos;
  if (!plain) fields.refuse("is no plain file name");
  Manifest::File file{fields.count("bytes"), fields.text("sha384")};
  if (!is_digest(file.sha384)) fields.refuse("has no SHA-384");
  return file;
}

Dims dims_from(const Fields& fields) {
  const Json& list = fields.at("dims");
  if (!list.is_array() || list.empty() || list.size() > 4) fields.refuse("has no 1 to 4 dims");
  Dims dims;
  std::int64_t elements = 1;
  for (const Json& item : list) {
    const std::int64_t size = fields.count(item, "dims");
    if (size < 1 || __builtin_mul_overflow(elements, size, &elements)) fields.refuse("has impossible dims");
    dims.size[static_cast<std::size_t>(dims.count++)] = size;
  }
  return dims;
}

/// [part, begin, end, offsets...] or [part, [begin, rows, columns, stride], offsets...]
Stretch place_from(const Json& list, const Fields& fields) {
  const auto count = [&](const Json& value) { return fields.count(value, "pieces"); };
  if (!list[1].is_array()) return {count(list[1]), 1, count(list[2]) - count(list[1]), 0};
  const Json& numbers = list[1];
  if (numbers.size() != 4) fields.refuse("has a piece of the wrong length");
  return {count(numbers[0]), count(numbers[1]), count(numbers[2]), count(numbers[3])};
}

Manifest::Piece piece_from(const Json& list, const Fields& fields, const Manifest& manifest, std::int64_t elements) {
  const std::size_t offsets = manifest.moments ? 3 : 1;
  const bool rectangle = list.is_array() && list.size() > 1 && list[1].is_array();
  const std::size_t first_offset = rectangle ? 2 : 3;
  if (!list.is_array() || list.size() != first_offset + offsets) fields.refuse("has a piece of the wrong length");
  Manifest::Piece piece;
  const std::int64_t part = fields.count(list[0], "pieces");
  if (part >= manifest.parts) fields.refuse(fmt::format("has a piece in part {} of {}", part, manifest.parts));
  piece.part = static_cast<int>(part);
  piece.place = place_from(list, fields);
  if (!fits(piece.place, elements) || (rectangle && plain(piece.place).rows == 1)) {
    fields.refuse(fmt::format("has a piece that is impossible: {}", text_of(piece.place)));
  }
  const std::int64_t bytes = manifest.files.find(part_name(piece.part, manifest.parts))->second.bytes;
  for (std::size_t i = 0; i < offsets; ++i) {
    piece.at[i] = fields.count(list[first_offset + i], "pieces");
    const bool inside = piece.at[i] <= bytes &&
                        piece.place.elements() <= (bytes - piece.at[i]) / static_cast<std::int64_t>(sizeof(float));
    if (!inside) fields.refuse(fmt::format("has a piece {} that is not in its part", text_of(piece.place)));
  }
  return piece;
}

Manifest::Entry entry_from(const std::string& name, const Fields& fields, const Manifest& manifest) {
  if (!is_parameter_name(name)) fields.refuse("is no name of a parameter");
  Manifest::Entry entry;
  entry.dims = dims_from(fields);
  if (!fields.at("pieces").is_array()) fields.refuse("has no list of pieces");
  std::int64_t before = -1;
  for (const Json& item : fields.at("pieces")) {
    entry.pieces.push_back(piece_from(item, fields, manifest, entry.dims.elements()));
    const std::int64_t begin = entry.pieces.back().place.begin;
    if (begin <= before) fields.refuse(fmt::format("has pieces out of order: at {} after {}", begin, before));
    before = begin;
  }
  if (const std::string fault = tiling_fault(entry); !fault.empty()) {
    fields.refuse("has a gap or an overlap: " + fault);
  }
  return entry;
}

Manifest manifest_from(const Json& json, const std::string& place) {
  const Fields fields(json, place);
  if (fields.text("format") != format_name) fields.refuse("is no manifest of a checkpoint");
  const std::int64_t version = fields.count("version");
  if (version < 1 || version > newest_version) {
    fail(Kind::data, "{} has format version {}; this hearth knows versions 1 to {}: use the hearth that wrote it",
         place, version, newest_version);
  }
  Manifest manifest;
  manifest.program = fields.text("program");
  manifest.written = fields.text("written");
  manifest.parent = fields.text("parent");
  if (!manifest.parent.empty() && !is_digest(manifest.parent)) fields.refuse("has a \"parent\" that is no SHA-384");
  const std::int64_t parts = fields.count("parts");
  if (parts < 1 || parts > 100000) fields.refuse(fmt::format("has {} parts", parts));
  manifest.parts = static_cast<int>(parts);
  manifest.moments = fields.flag("moments");
  manifest.state = state_from(fields.object("state"));
  if (fields.count("step") != manifest.state.step) fields.refuse("has two different steps");
  if (fields.text("recipe_sha384") != sha384(manifest.state.recipe)) fields.refuse("has a recipe of another digest");
  const Fields files = fields.object("files");
  for (const auto& [name, file] : files.json().items()) {
    manifest.files[name] = file_from(name, Fields(file, files.place() + ", " + name));
  }
  for (int part = 0; part < manifest.parts; ++part) {
    if (!manifest.files.contains(part_name(part, manifest.parts))) {
      fields.refuse("does not list " + part_name(part, manifest.parts));
    }
  }
  const Fields tensors = fields.object("tensors");
  std::int64_t elements = 0;
  for (const auto& [name, entry] : tensors.json().items()) {
    const Fields of_entry(entry, tensors.place() + ", " + name);
    const Manifest::Entry& added = manifest.tensors[name] = entry_from(name, of_entry, manifest);
    if (__builtin_add_overflow(elements, added.dims.elements(), &elements)) of_entry.refuse("has impossible dims");
  }
  if (manifest.version() > version) fields.refuse("has a piece of several rows, which version 1 has not");
  if (fields.count("elements") != elements) fields.refuse("has another number of elements than it lists");
  return manifest;
}

}  // namespace

std::string Manifest::text() const {
  Json json;
  json["format"] = format_name;
  json["version"] = version();
  json["step"] = state.step;
  json["program"] = program;
  json["written"] = written;
  json["parent"] = parent;
  json["recipe_sha384"] = sha384(state.recipe);
  json["parts"] = parts;
  json["moments"] = moments;
  json["elements"] = elements();
  json["state"] = state_to_json(state);
  try {
    std::string text = "{\n";
    for (const auto& [key, value] : json.items()) text += fmt::format("\"{}\": {},\n", key, value.dump());
    text += "\"files\": " + lines_of(files, file_to_json) + ",\n";
    return text +
           "\"tensors\": " + lines_of(tensors, [this](const Entry& entry) { return entry_to_json(entry, moments); }) +
           "\n}\n";
  } catch (const nlohmann::json::exception& error) {
    fail(Kind::internal,
         "internal error: the manifest of a checkpoint cannot be written as JSON: {} (please report this)",
         error.what());
  }
}

Manifest parse_manifest(std::string_view text, const std::string& place) {
  try {
    return manifest_from(Json::parse(text), place);
  } catch (const nlohmann::json::exception& error) {
    fail(Kind::integrity, "{} is no JSON: {}", place, error.what());
  }
}

}  // namespace hearth
