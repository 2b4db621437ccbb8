// The weights of a model folder: one safetensors file, or shards with an index.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "model/config.h"
#include "model/hf/safetensors.h"

namespace hearth::hf {

/// Every rank opens the folder for itself and reads only the ranges it owns: nothing but headers and the pages touched
/// is loaded.
class WeightFiles {
 public:
  /// A safetensors file, or a folder with model.safetensors or with model.safetensors.index.json and its shards. Throws
  /// Kind::data: no weights, weights in another format only (named), both forms side by side, a shard that breaks a
  /// rule of the format, an index that names a file outside the folder, a tensor that is in the index and not in its
  /// file, or in a file and not in the index. `total_size` of the index is not required and not believed.
  explicit WeightFiles(const Path& file_or_folder);

  const Path& path() const { return path_; }
  const std::vector<std::unique_ptr<SafetensorsFile>>& files() const { return files_; }
  std::vector<std::string> names() const;  // ascending
  bool has(std::string_view name) const { return places_.find(name) != places_.end(); }
  /// The file that holds a tensor. Throws Kind::data naming the folder and the tensor.
  const SafetensorsFile& file_of(std::string_view name) const;
  const TensorInfo& info(std::string_view name) const { return file_of(name).info(name); }
  std::span<const std::byte> bytes(std::string_view name) const { return file_of(name).bytes(name); }
  /// See SafetensorsFile::read_f32.
  void read_f32(std::string_view name, std::int64_t begin, std::int64_t end, float* out) const {
    file_of(name).read_f32(name, begin, end, out);
  }

 private:
  void open_index(const Path& index);

  Path path_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, const SafetensorsFile*, std::less<>> places_;
};

/// Holds the files against the config: every tensor there, with the dims that the config says and in F32, BF16 or F16,
/// and no other. Buffers that older writers stored (`*.rotary_emb.inv_freq`) may be there and are not used. A stored
/// lm_head.weight beside a tied head must equal the embedding, which is read for it. Throws Kind::data that lists what
/// is missing, extra or of another shape.
void check_complete(const WeightFiles& files, const ModelConfig& config);

}  // namespace hearth::hf
