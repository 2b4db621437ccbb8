// The element types of safetensors files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/dtype.h"

namespace hearth::hf {

/// In the order of the format's own list, which is by alignment; its writers sort by it.
enum class Stored {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64,
};

/// "BF16", as files write it.
std::string_view name_of(Stored dtype);
/// Nothing for a name that the format does not know.
std::optional<Stored> stored_named(std::string_view name);
std::uint64_t bits_of(Stored dtype);
/// The same type among hearth's own, where there is one.
std::optional<Dtype> dtype_of(Stored dtype);
/// How files write one of hearth's types.
Stored stored(Dtype dtype);

/// F32, BF16 and F16 can be read and written as f32.
bool is_weight(Stored dtype);
/// Widens `count` little-endian elements, exactly. `from` may be unaligned. REQUIRES: is_weight(dtype), no overlap.
void widen(Stored dtype, const std::byte* from, std::size_t count, float* to);
/// Rounds to nearest even. REQUIRES: is_weight(dtype), no overlap.
void narrow(Stored dtype, const float* from, std::size_t count, std::byte* to);

}  // namespace hearth::hf
