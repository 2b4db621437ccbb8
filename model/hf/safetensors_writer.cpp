#include "model/hf/safetensors_writer.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "base/error.h"
#include "model/hf/json.h"
#include "model/hf/safetensors_header.h"

namespace hearth::hf {

namespace {

void sort_for_writing(std::vector<TensorPlan>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorPlan& a, const TensorPlan& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
}

std::string header_of(const std::vector<TensorPlan>& tensors, const Metadata& metadata, const Path& path) {
  OrderedJson::object_t header;  // a vector of pairs: pushed to, because looking keys up in it would take long
  if (!metadata.empty()) header.push_back({"__metadata__", OrderedJson(metadata)});
  std::set<std::string_view> names = {"__metadata__"};
  std::uint64_t at = 0;
  for (const TensorPlan& tensor : tensors) {
    if (!names.insert(tensor.name).second) fail(Kind::data, "{}: two tensors are named {}", path.string(), tensor.name);
    const std::uint64_t end = at + tensor.bytes();
    header.push_back(
        {tensor.name,
         OrderedJson{{"dtype", name_of(tensor.dtype)}, {"shape", tensor.dims}, {"data_offsets", {at, end}}}});
    at = end;
  }
  std::string text = OrderedJson(std::move(header)).dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > most_header_bytes)
    fail(Kind::data, "{}: HeaderTooLarge: {} bytes of header; {} are allowed", path.string(), text.size(),
         most_header_bytes);
  return text;
}

bool is_weight_file(const std::string& name) {
  return name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
}

}  // namespace

std::uint64_t TensorPlan::elements() const {
  std::uint64_t product = 1;
  for (const std::uint64_t dim : dims)
    if (__builtin_mul_overflow(product, dim, &product))
      fail(Kind::data, "the size of {} ({}) does not fit 64 bits", name, fmt::join(dims, ", "));
  return product;
}

std::uint64_t TensorPlan::bytes() const {
  std::uint64_t bits = 0;
  if (__builtin_mul_overflow(elements(), bits_of(dtype), &bits) || bits % 8 != 0)
    fail(Kind::data, "{} ({}) of {} is no whole number of bytes in 64 bits", name, fmt::join(dims, ", "),
         name_of(dtype));
  return bits / 8;
}

SafetensorsWriter::SafetensorsWriter(const Path& path, std::vector<TensorPlan> tensors, const Metadata& metadata)
    : file_(path), tensors_(std::move(tensors)) {
  sort_for_writing(tensors_);
  const std::string header = header_of(tensors_, metadata, path);
  const std::uint64_t length = header.size();
  file_.write(&length, sizeof(length));
  file_.write(header);
  skip_finished();
}

void SafetensorsWriter::skip_finished() {
  while (at_ < tensors_.size() && written_ == tensors_[at_].bytes()) {
    ++at_;
    written_ = 0;
  }
}

void SafetensorsWriter::append(const void* data, std::size_t bytes) {
  if (bytes == 0) return;
  require(at_ < tensors_.size() && bytes <= tensors_[at_].bytes() - written_, "a piece stays within its tensor");
  file_.write(data, bytes);
  written_ += bytes;
  skip_finished();
}

void SafetensorsWriter::append_f32(const float* values, std::size_t count) {
  if (count == 0) return;
  require(at_ < tensors_.size(), "there is a tensor left to write");
  const Stored dtype = tensors_[at_].dtype;
  if (dtype == Stored::f32) return append(values, count * sizeof(float));
  narrow_.resize(count * bits_of(dtype) / 8);
  narrow(dtype, values, count, narrow_.data());
  append(narrow_.data(), narrow_.size());
}

void SafetensorsWriter::commit() {
  require(at_ == tensors_.size(), "every tensor was written before the file is committed");
  file_.commit();
}

std::vector<Shard> plan_shards(const std::vector<TensorPlan>& tensors, std::uint64_t most_bytes) {
  std::vector<Shard> shards(1);
  std::uint64_t used = 0;
  for (const TensorPlan& tensor : tensors) {
    const std::uint64_t bytes = tensor.bytes();
    if (used > 0 && bytes > most_bytes - std::min(used, most_bytes)) {
      shards.emplace_back();
      used = 0;
    }
    shards.back().tensors.push_back(tensor);
    used += bytes;
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    sort_for_writing(shards[i].tensors);
    shards[i].file = shards.size() == 1 ? "model.safetensors"
                                        : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  }
  return shards;
}

WeightWriter::WeightWriter(const Path& folder, std::vector<Shard> shards)
    : folder_(folder), shards_(std::move(shards)) {
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (is_weight_file(name))
      fail(Kind::data, "{} already holds weights ({}); choose an empty folder", folder_.string(), name);
  }
  open_next();
}

WeightWriter::~WeightWriter() = default;

/// Opens shards until one wants values.
void WeightWriter::open_next() {
  while (left_ == 0 && writers_.size() < shards_.size()) {
    const Shard& shard = shards_[writers_.size()];
    writers_.push_back(
        std::make_unique<SafetensorsWriter>(folder_ / shard.file, shard.tensors, Metadata{{"format", "pt"}}));
    for (const TensorPlan& tensor : shard.tensors) left_ += tensor.elements();
  }
}

void WeightWriter::append(std::span<const float> values) {
  if (values.empty()) return;
  require(values.size() <= left_, "a piece stays within its tensor");
  writers_.back()->append_f32(values.data(), values.size());
  left_ -= values.size();
  open_next();
}

std::string WeightWriter::index() const {
  std::uint64_t total = 0;
  Json map = Json::object();
  for (const Shard& shard : shards_)
    for (const TensorPlan& tensor : shard.tensors) {
      total += tensor.bytes();
      map[tensor.name] = shard.file;
    }
  return OrderedJson{{"metadata", {{"total_size", total}}}, {"weight_map", map}}.dump(2) + "\n";
}

void WeightWriter::commit() {
  require(left_ == 0 && writers_.size() == shards_.size(), "all weights were written before they are committed");
  for (const auto& writer : writers_) writer->commit();
  if (shards_.size() > 1) write_file(folder_ / "model.safetensors.index.json", index());
}

void write_weights(const Path& folder, const std::vector<Shard>& shards, const Fill& fill, std::int64_t piece) {
  require(piece > 0, "pieces have elements");
  WeightWriter writer(folder, shards);
  std::vector<float> values;
  for (const Shard& shard : shards)
    for (const TensorPlan& tensor : shard.tensors) {
      const auto elements = static_cast<std::int64_t>(tensor.elements());
      for (std::int64_t begin = 0; begin < elements; begin += piece) {
        const std::int64_t end = std::min(begin + piece, elements);
        values.resize(static_cast<std::size_t>(end - begin));
        fill(tensor.name, begin, end, values.data());
        writer.append(values);
      }
    }
  writer.commit();
}

}  // namespace hearth::hf
