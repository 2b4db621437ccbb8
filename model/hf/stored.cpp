#include "model/hf/stored.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/error.h"

namespace hearth::hf {

namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, and are used in place");

struct Entry {
  std::string_view name;
  std::uint64_t bits;
  std::optional<Dtype> dtype;
};

constexpr std::array<Entry, 22> table = {{
    {"BOOL", 8, {}},         {"F4", 4, {}},           {"F6_E2M3", 6, {}},        {"F6_E3M2", 6, {}},
    {"U8", 8, Dtype::u8},    {"I8", 8, {}},           {"F8_E5M2", 8, {}},        {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},      {"F8_E4M3FNUZ", 8, {}},  {"F8_E5M2FNUZ", 8, {}},    {"I16", 16, {}},
    {"U16", 16, {}},         {"F16", 16, Dtype::f16}, {"BF16", 16, Dtype::bf16}, {"I32", 32, Dtype::i32},
    {"U32", 32, Dtype::u32}, {"F32", 32, Dtype::f32}, {"C64", 64, {}},           {"F64", 64, Dtype::f64},
    {"I64", 64, Dtype::i64}, {"U64", 64, {}},
}};

const Entry& entry_of(Stored dtype) {
  return table[static_cast<std::size_t>(dtype)];
}

template <class Half>
void widen_halves(const std::byte* from, std::size_t count, float* to) {
  for (std::size_t i = 0; i < count; ++i) {
    Half half;
    std::memcpy(&half.bits, from + 2 * i, 2);
    to[i] = static_cast<float>(half);
  }
}

template <class Half>
void narrow_to_halves(const float* from, std::size_t count, std::byte* to) {
  for (std::size_t i = 0; i < count; ++i) {
    const Half half(from[i]);
    std::memcpy(to + 2 * i, &half.bits, 2);
  }
}

}  // namespace

std::string_view name_of(Stored dtype) {
  return entry_of(dtype).name;
}
std::uint64_t bits_of(Stored dtype) {
  return entry_of(dtype).bits;
}
std::optional<Dtype> dtype_of(Stored dtype) {
  return entry_of(dtype).dtype;
}

std::optional<Stored> stored_named(std::string_view name) {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i].name == name) return static_cast<Stored>(i);
  return std::nullopt;
}

Stored stored(Dtype dtype) {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i].dtype == dtype) return static_cast<Stored>(i);
  fail(Kind::internal, "safetensors files know no {}", hearth::name_of(dtype));
}

bool is_weight(Stored dtype) {
  return dtype == Stored::f32 || dtype == Stored::bf16 || dtype == Stored::f16;
}

void widen(Stored dtype, const std::byte* from, std::size_t count, float* to) {
  require(is_weight(dtype), "only F32, BF16 and F16 are widened");
  if (count == 0) return;
  if (dtype == Stored::f32) std::memcpy(to, from, count * sizeof(float));
  if (dtype == Stored::bf16) widen_halves<Bf16>(from, count, to);
  if (dtype == Stored::f16) widen_halves<F16>(from, count, to);
}

void narrow(Stored dtype, const float* from, std::size_t count, std::byte* to) {
  require(is_weight(dtype), "f32 is only narrowed to F32, BF16 and F16");
  if (count == 0) return;
  if (dtype == Stored::f32) std::memcpy(to, from, count * sizeof(float));
  if (dtype == Stored::bf16) narrow_to_halves<Bf16>(from, count, to);
  if (dtype == Stored::f16) narrow_to_halves<F16>(from, count, to);
}

}  // namespace hearth::hf
