#include "model/hf/weight_digest.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::hf {

void WeightDigest::begin(std::string_view name, Stored dtype, std::span<const std::uint64_t> dims) {
  require(left_ == 0, "a tensor was digested whole before the next begins");
  require(!any_ || std::string_view(name_) < name, "tensors are digested in the order of their names");
  any_ = true;
  name_ = name;
  widened_ = is_weight(dtype);
  std::uint64_t elements = 1;
  for (const std::uint64_t dim : dims) elements *= dim;
  left_ = widened_ ? elements * sizeof(float) : elements * bits_of(dtype) / 8;
  constexpr std::string_view zero("\0", 1);
  digest_.add(name);
  digest_.add(zero);
  digest_.add(name_of(dtype));
  digest_.add(zero);
  digest_.add(fmt::format("{}", fmt::join(dims, ",")));
  digest_.add(zero);
}

void WeightDigest::begin(std::string_view name, Stored dtype, const Dims& dims) {
  std::vector<std::uint64_t> sizes;
  for (int i = 0; i < dims.count; ++i) sizes.push_back(static_cast<std::uint64_t>(dims[i]));
  begin(name, dtype, std::span<const std::uint64_t>(sizes));
}

void WeightDigest::take(const void* data, std::size_t bytes) {
  require(bytes <= left_, "no more is digested than the dims say");
  digest_.add(data, bytes);
  left_ -= bytes;
}

void WeightDigest::add(std::span<const float> values) {
  require(values.empty() || widened_, "values are digested of F32, BF16 and F16 only");
  take(values.data(), values.size_bytes());
}

void WeightDigest::add_bytes(std::span<const std::byte> bytes) {
  require(bytes.empty() || !widened_, "F32, BF16 and F16 are digested as values");
  take(bytes.data(), bytes.size());
}

std::string WeightDigest::hex() {
  require(left_ == 0, "the last tensor was digested whole");
  return digest_.hex();
}

std::string digest_of(const WeightFiles& files, std::span<const std::string> without) {
  constexpr std::int64_t piece = 1 << 16;
  std::vector<float> values(piece);
  WeightDigest digest;
  for (const std::string& name : files.names()) {
    if (std::find(without.begin(), without.end(), name) != without.end()) continue;
    const TensorInfo& info = files.info(name);
    digest.begin(name, info.dtype, std::span<const std::uint64_t>(info.dims));
    if (!is_weight(info.dtype)) {
      digest.add_bytes(files.bytes(name));
      continue;
    }
    const auto elements = static_cast<std::int64_t>(info.elements());
    for (std::int64_t begin = 0; begin < elements; begin += piece) {
      const std::int64_t end = std::min(begin + piece, elements);
      files.read_f32(name, begin, end, values.data());
      digest.add({values.data(), static_cast<std::size_t>(end - begin)});
    }
  }
  return digest.hex();
}

}  // namespace hearth::hf
