#include "model/hf/inspect.h"

#include "base/error.h"
#include "model/hf/config.h"
#include "model/hf/names.h"
#include "model/hf/weight_digest.h"
#include "model/hf/weight_files.h"

namespace hearth::hf {

namespace {

/// "1 234 567", so that long counts can be read.
std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, " ");
  return text;
}

/// A name or text out of a file, without what would move a terminal's cursor.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

std::string rope_text(const Rope& rope) {
  switch (rope.kind) {
    case Rope::Kind::none:
      return fmt::format("theta {}", rope.theta);
    case Rope::Kind::linear:
      return fmt::format("theta {}, linear x {}", rope.theta, rope.factor);
    case Rope::Kind::llama3:
      return fmt::format("theta {}, llama3 x {}", rope.theta, rope.factor);
    case Rope::Kind::yarn:
      return fmt::format("theta {}, yarn x {}", rope.theta, rope.factor);
  }
  return "";
}

std::string config_text(const ModelConfig& config) {
  std::string text = fmt::format(
      "architecture  {}\nshape         {} layers, width {}, hidden {}, {} heads of {}, {} key-value heads\n"
      "vocabulary    {}, head {}\npositions     {}, {}\n",
      name_of(config.architecture), config.layers, config.width, config.hidden, config.heads, config.head_width,
      config.key_value_heads, config.vocabulary, config.tied ? "tied to the embedding" : "of its own",
      config.max_positions, rope_text(config.rope));
  if (config.window > 0) text += fmt::format("window        {}\n", config.window);
  return text;
}

}  // namespace

Described describe(const Path& file_or_folder) {
  Described described;
  described.path = file_or_folder;
  const bool folder = std::filesystem::is_directory(file_or_folder);
  if (folder && std::filesystem::exists(file_or_folder / "config.json")) described.config = read_config(file_or_folder);
  const WeightFiles files(file_or_folder);
  if (described.config) check_complete(files, *described.config);

  for (const auto& file : files.files())
    described.files.push_back(
        {file->path().filename().string(), std::filesystem::file_size(file->path()), file->tensors().size()});
  if (!files.files().empty()) described.metadata = files.files().front()->metadata();
  std::vector<std::string> without;  // the stored copy of a tied head is the embedding
  if (described.config && described.config->tied) without.push_back(foreign_name("head"));
  for (const std::string& name : files.names()) {
    const TensorInfo& info = files.info(name);
    described.tensors.push_back({name, info.dtype, info.dims});
    described.parameters += info.elements();
    described.bytes += info.bytes();
    described.elements_of_dtype[std::string(name_of(info.dtype))] += info.elements();
  }
  if (described.config) described.parameters = static_cast<std::uint64_t>(described.config->parameters());
  described.digest = digest_of(files, without);
  return described;
}

std::string to_text(const Described& described, bool each_tensor) {
  std::string text = fmt::format("path          {}\n", described.path.string());
  if (described.config) text += config_text(*described.config);
  text += fmt::format("parameters    {}\ntensors       {}, {} bytes\n", grouped(described.parameters),
                      described.tensors.size(), grouped(described.bytes));
  for (const auto& [dtype, elements] : described.elements_of_dtype)
    text += fmt::format("dtype         {}: {} elements\n", dtype, grouped(elements));
  for (const Described::File& file : described.files)
    text += fmt::format("file          {}: {} bytes, {} tensors\n", file.name, grouped(file.bytes), file.tensors);
  for (const auto& [key, value] : described.metadata)
    text += fmt::format("metadata      {}: {}\n", printable(key), printable(value));
  if (each_tensor)
    for (const TensorPlan& tensor : described.tensors)
      text += fmt::format("tensor        {}  {}  ({})\n", printable(tensor.name), name_of(tensor.dtype),
                          fmt::join(tensor.dims, ", "));
  return text + fmt::format("sha384        {}\n", described.digest);
}

}  // namespace hearth::hf
