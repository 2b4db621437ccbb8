#include "model/hf/weight_files.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "model/hf/json.h"
#include "model/hf/names.h"

namespace hearth::hf {

namespace {

constexpr std::size_t most_index_bytes = std::size_t{64} << 20;
constexpr std::size_t most_listed = 8;
constexpr std::string_view single_name = "model.safetensors";
constexpr std::string_view index_name = "model.safetensors.index.json";

/// A name in a folder and nothing else: no path, nothing hidden, nothing unprintable.
bool is_plain_file_name(std::string_view name) {
  const auto odd = [](char c) { return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !name.empty() && name.size() < 256 && name.front() != '.' && std::none_of(name.begin(), name.end(), odd) &&
         name.ends_with(".safetensors");
}

[[noreturn]] void fail_without_weights(const Path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth") || name.ends_with(".gguf"))
      fail(Kind::data, "{} has its weights in {}, which hearth does not open; convert them to safetensors",
           folder.string(), name);
  }
  fail(Kind::data, "{} has neither {} nor {}", folder.string(), single_name, index_name);
}

/// "a, b, c and 17 more"
std::string list(const std::vector<std::string>& items) {
  const std::size_t listed = std::min(items.size(), most_listed);
  std::string text =
      fmt::format("{}", fmt::join(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(listed), ", "));
  if (listed < items.size()) text += fmt::format(" and {} more", items.size() - listed);
  return text;
}

bool same_dims(const TensorInfo& info, const Dims& dims) {
  if (info.dims.size() != static_cast<std::size_t>(dims.count)) return false;
  for (int i = 0; i < dims.count; ++i)
    if (info.dims[static_cast<std::size_t>(i)] != static_cast<std::uint64_t>(dims[i])) return false;
  return true;
}

void check_tied_head(const WeightFiles& files, const ModelConfig& config) {
  const std::string embedding = foreign_name("embedding");
  const std::string head = foreign_name("head");
  const std::int64_t elements = config.vocabulary * config.width;
  constexpr std::int64_t piece = 1 << 16;
  std::vector<float> one(piece);
  std::vector<float> other(piece);
  for (std::int64_t begin = 0; begin < elements; begin += piece) {
    const std::int64_t end = std::min(begin + piece, elements);
    files.read_f32(embedding, begin, end, one.data());
    files.read_f32(head, begin, end, other.data());
    if (std::memcmp(one.data(), other.data(), static_cast<std::size_t>(end - begin) * sizeof(float)) != 0)
      fail(
          Kind::data,
          "{}: tie_word_embeddings is true, yet {} differs from {} (row {} or later); say false if the head is its own",
          files.path().string(), head, embedding, begin / config.width);
  }
}

}  // namespace

WeightFiles::WeightFiles(const Path& file_or_folder) : path_(file_or_folder) {
  if (!std::filesystem::exists(path_)) fail(Kind::data, "{} does not exist", path_.string());
  const bool folder = std::filesystem::is_directory(path_);
  const Path single = folder ? path_ / single_name : path_;
  const Path index = path_ / index_name;
  const bool has_single = std::filesystem::exists(single);
  const bool has_index = folder && std::filesystem::exists(index);
  if (has_single && has_index)
    fail(Kind::data, "{} has both {} and {}; remove the one that is out of date", path_.string(), single_name,
         index_name);
  if (has_index) {
    open_index(index);
  } else if (has_single) {
    files_.push_back(std::make_unique<SafetensorsFile>(single));
    for (const auto& [name, info] : files_.back()->tensors()) places_.emplace(name, files_.back().get());
  } else {
    fail_without_weights(path_);
  }
}

void WeightFiles::open_index(const Path& index) {
  const std::string where = index.string();
  std::error_code ignored;
  if (std::filesystem::file_size(index, ignored) > most_index_bytes)
    fail(Kind::data, "{} is larger than {} bytes", where, most_index_bytes);
  const Json json = parse_json(read_text(index), where);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
    fail(Kind::data, "{}: an object with a weight_map of names to files is expected", where);
  std::map<std::string, SafetensorsFile*> opened;
  for (const auto& [name, file] : json["weight_map"].items()) {
    if (!file.is_string() || !is_plain_file_name(file.get_ref<const std::string&>()))
      fail(Kind::data, "{}: {} is said to be in {}; the name of a .safetensors file in this folder is expected", where,
           shown(Json(name)), shown(file));
    const auto& file_name = file.get_ref<const std::string&>();
    SafetensorsFile*& shard = opened[file_name];
    if (shard == nullptr) {
      files_.push_back(std::make_unique<SafetensorsFile>(path_ / file_name));
      shard = files_.back().get();
    }
    if (!shard->has(name))
      fail(Kind::data, "{}: {} is said to be in {}, which does not have it", where, shown(Json(name)), file_name);
    places_.emplace(name, shard);
  }
  for (const auto& [file_name, shard] : opened)
    for (const auto& [name, info] : shard->tensors())
      if (const auto place = places_.find(name); place == places_.end() || place->second != shard)
        fail(Kind::data, "{}: {} is in {}, and the index does not say so", where, shown(Json(name)), file_name);
}

std::vector<std::string> WeightFiles::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : places_) names.push_back(name);
  return names;
}

const SafetensorsFile& WeightFiles::file_of(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) fail(Kind::data, "{} has no tensor {}", path_.string(), name);
  return *found->second;
}

void check_complete(const WeightFiles& files, const ModelConfig& config) {
  std::vector<std::string> missing;
  std::vector<std::string> wrong;
  std::vector<std::string> extra;
  std::map<std::string, Dims, std::less<>> expected;
  for (const NamedTensor& tensor : expected_tensors(config)) expected.emplace(tensor.foreign, tensor.dims);
  const std::string head = foreign_name("head");
  const bool stored_tied_head = config.tied && files.has(head);
  if (stored_tied_head) expected.emplace(head, Dims{config.vocabulary, config.width});

  for (const auto& [name, dims] : expected) {
    if (!files.has(name)) {
      missing.push_back(name);
      continue;
    }
    const TensorInfo& info = files.info(name);
    if (!same_dims(info, dims)) wrong.push_back(fmt::format("{} is {}, not {}", name, info.shape(), dims.text()));
    if (!is_weight(info.dtype))
      wrong.push_back(fmt::format("{} is stored as {}, not F32, BF16 or F16", name, name_of(info.dtype)));
  }
  for (const std::string& name : files.names())
    if (!expected.contains(name) && !name.ends_with(".rotary_emb.inv_freq")) extra.push_back(shown(Json(name)));

  std::string complaint;
  if (!missing.empty()) complaint += fmt::format("\n  missing: {}", list(missing));
  if (!wrong.empty()) complaint += fmt::format("\n  wrong: {}", list(wrong));
  if (!extra.empty()) complaint += fmt::format("\n  unknown: {}", list(extra));
  if (!complaint.empty())
    fail(Kind::data, "{}: the weights do not fit the config ({}, {} layers):{}", files.path().string(),
         name_of(config.architecture), config.layers, complaint);
  if (stored_tied_head) check_tied_head(files, config);
}

}  // namespace hearth::hf
