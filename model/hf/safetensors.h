// A safetensors file, mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "model/hf/safetensors_header.h"

namespace hearth::hf {

/// Read-only and private; checked when opened (safetensors_header.h). Only the pages that are read are loaded.
///
/// A mapped file that somebody shortens would end the program where it is read, so every call looks first whether the
/// file is still the one that was opened, and throws Kind::data when its size or time has changed. (A file replaced by
/// rename is no such change: the mapping keeps the old one.) Only a change during one call remains dangerous.
class SafetensorsFile {
 public:
  /// Throws Kind::data for a file that is missing or breaks a rule.
  explicit SafetensorsFile(const Path& path);

  const Path& path() const { return path_; }
  const std::map<std::string, TensorInfo, std::less<>>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  std::vector<std::string> names() const;  // ascending
  bool has(std::string_view name) const { return header_.tensors.find(name) != header_.tensors.end(); }
  /// Throws Kind::data naming file and tensor when there is none of that name.
  const TensorInfo& info(std::string_view name) const;

  /// The tensor as it lies in the file, valid as long as this; unaligned.
  std::span<const std::byte> bytes(std::string_view name) const;
  /// The elements [begin, end) of a tensor in row-major order, widened to f32. Throws Kind::data when it is stored in
  /// another dtype than F32, BF16 or F16. REQUIRES: begin <= end <= elements.
  void read_f32(std::string_view name, std::int64_t begin, std::int64_t end, float* out) const;

 private:
  /// What tells a file apart from another of the same name, and from itself after a change.
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
  };
  static Identity identity_of(const Path& path);
  void check_unchanged() const;

  Path path_;
  Identity identity_;
  MappedFile map_;
  SafetensorsHeader header_;
};

}  // namespace hearth::hf
