// How tensors reach the loops: a storage index and untyped pointers.
#pragma once

#include <cstdint>

#include "base/tensor.h"

namespace hearth::cpu {

using Word = std::uint16_t;  // a bf16 number as the loops see it

/// 0 for f32, 1 for bf16 (see loops.h). Other dtypes are a defect of the caller.
inline int storage(In x) {
  if (x.dtype == Dtype::f32) return 0;
  if (x.dtype != Dtype::bf16)
    fail(Kind::internal, "the CPU backend computes in f32 and bf16, not in {}", name_of(x.dtype));
  return 1;
}

/// The address of an element.
inline std::byte* at(In x, std::int64_t row, std::int64_t column) {
  return static_cast<std::byte*>(x.data) + static_cast<std::size_t>(row * x.pitch + column) * size_of(x.dtype);
}

}  // namespace hearth::cpu
