// What is in a safetensors file or a model folder, for people.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/config.h"
#include "model/hf/safetensors_writer.h"

namespace hearth::hf {

struct Described {
  struct File {
    std::string name;
    std::uint64_t bytes = 0;  // on disk
    std::size_t tensors = 0;
  };

  Path path;
  std::optional<ModelConfig> config;  // of a model folder
  std::vector<File> files;
  std::map<std::string, std::string> metadata;  // of the first file
  std::vector<TensorPlan> tensors;              // ascending by name
  std::uint64_t parameters = 0;                 // elements of all tensors; a model's own count for a model folder
  std::uint64_t bytes = 0;                      // of all tensors, as stored
  std::map<std::string, std::uint64_t> elements_of_dtype;  // "BF16" -> elements
  std::string digest;                                      // see WeightDigest
};

/// Opens a safetensors file, or a folder with weights; where that has a config.json the weights are held against it
/// (check_complete). Reads all weights once, for the digest. Throws what the readers throw for broken ones.
Described describe(const Path& file_or_folder);

/// Several lines. With `each_tensor`, one line for each tensor too.
std::string to_text(const Described& described, bool each_tensor);

}  // namespace hearth::hf
