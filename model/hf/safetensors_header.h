// The header of a safetensors file, believed only after every rule of the format has been checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/hf/stored.h"

namespace hearth::hf {

struct TensorInfo {
  Stored dtype = Stored::f32;
  std::vector<std::uint64_t> dims;  // any number of them; none: one element
  std::uint64_t begin = 0;          // bytes from the end of the header
  std::uint64_t end = 0;

  std::uint64_t elements() const;
  std::uint64_t bytes() const { return end - begin; }
  std::string shape() const;  // "(2, 3)"
};

struct SafetensorsHeader {
  std::map<std::string, TensorInfo, std::less<>> tensors;
  std::map<std::string, std::string> metadata;
  std::uint64_t data_begin = 0;  // where the tensors begin in the file
};

/// Reads the header from the first bytes of a file of `file_bytes` bytes; `bytes` may be all of it or hold at least the
/// header. Nothing of a size that the file claims is allocated before the claim was checked against `file_bytes`.
///
/// Throws Kind::data with the names that the reference reader gives its errors: HeaderTooSmall, HeaderTooLarge (above
/// 100,000,000 bytes), InvalidHeaderLength, InvalidHeader (no UTF-8), InvalidHeaderDeserialization (no JSON, or JSON of
/// another form: unknown dtype, dims or offsets that are no unsigned integers, metadata other than text),
/// ValidationOverflow, MisalignedSlice, InvalidOffset (a hole, an overlap, a first tensor not at 0, an end before its
/// begin), TensorInvalidInfo (offsets against shape and dtype), MetadataIncompleteBuffer (bytes missing or left over).
/// Stricter than that reader: the header begins with '{', keys are unique and known. A Git LFS pointer or an HTML page
/// in place of weights is named as such.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes, std::uint64_t file_bytes,
                                           const std::string& where);

constexpr std::uint64_t most_header_bytes = 100'000'000;

}  // namespace hearth::hf
