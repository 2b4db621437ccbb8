// One number for the weights of a model, whatever mesh, shards or file form they come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/sha384.h"
#include "base/tensor.h"
#include "model/hf/weight_files.h"

namespace hearth::hf {

/// SHA-384 over the tensors in ascending byte order of their Hugging Face names; of each
///
///   name, one zero byte, dtype, one zero byte, dims ("300,48"; empty for none), one zero byte, values
///
/// where dtype is that of the file, as safetensors spells it ("F32", "BF16", "F16"), and values are the elements in
/// row-major order as little-endian f32, widened exactly. (Tensors of any other dtype, which no model has, count with
/// their bytes as stored.) A tied head that is also stored is left out by the caller, since it is the embedding.
///
/// A checkpoint of a run has f32 weights: its digest is that of its export in f32. Equal weights in another dtype have
/// another digest.
class WeightDigest {
 public:
  /// The next tensor. REQUIRES: the one before it is complete, and its name is smaller.
  void begin(std::string_view name, Stored dtype, std::span<const std::uint64_t> dims);
  void begin(std::string_view name, Stored dtype, const Dims& dims);
  /// The next values of the tensor at hand. REQUIRES: a dtype that is widened.
  void add(std::span<const float> values);
  /// The next bytes of a tensor whose dtype is not widened.
  void add_bytes(std::span<const std::byte> bytes);
  /// 96 lower-case hexadecimal digits. REQUIRES: the last tensor is complete; the object is spent afterwards.
  std::string hex();

 private:
  void take(const void* data, std::size_t bytes);

  Sha384 digest_;
  std::string name_;
  bool any_ = false;
  bool widened_ = false;
  std::uint64_t left_ = 0;  // bytes that the tensor at hand still wants
};

/// Of all tensors in `files`, less those in `without`.
std::string digest_of(const WeightFiles& files, std::span<const std::string> without = {});

}  // namespace hearth::hf
