// One vector of floats of whatever width the including file is compiled for. Everything is in an anonymous namespace:
// each instruction set has its own copy, and none leaves its object file.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

#define HEARTH_INLINE inline __attribute__((always_inline))
#define HEARTH_LAMBDA __attribute__((always_inline))

#if defined(__AVX512F__)
using F = __m512;
constexpr int lanes = 16;
HEARTH_INLINE F vmax(F a, F b) {
  return _mm512_max_ps(a, b);
}
HEARTH_INLINE F vsqrt(F a) {
  return _mm512_sqrt_ps(a);
}
HEARTH_INLINE F vround(F a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
HEARTH_INLINE F vfma(F a, F b, F c) {
  return _mm512_fmadd_ps(a, b, c);
}
HEARTH_INLINE F vset(float a) {
  return _mm512_set1_ps(a);
}
using Words = __m256i;  // bf16 numbers, as many as there are lanes
HEARTH_INLINE __m512i widen(Words half) {
  return _mm512_cvtepu16_epi32(half);
}
HEARTH_INLINE Words narrow(__m512i whole) {
  return _mm512_cvtepi32_epi16(whole);
}
#elif defined(__AVX2__)
using F = __m256;
constexpr int lanes = 8;
HEARTH_INLINE F vmax(F a, F b) {
  return _mm256_max_ps(a, b);
}
HEARTH_INLINE F vsqrt(F a) {
  return _mm256_sqrt_ps(a);
}
HEARTH_INLINE F vround(F a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
HEARTH_INLINE F vfma(F a, F b, F c) {
  return _mm256_fmadd_ps(a, b, c);
}
HEARTH_INLINE F vset(float a) {
  return _mm256_set1_ps(a);
}
using Words = __m128i;
HEARTH_INLINE __m256i widen(Words half) {
  return _mm256_cvtepu16_epi32(half);
}
HEARTH_INLINE Words narrow(__m256i whole) {
  return _mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_packus_epi32(whole, whole), 0x08));
}
#else
using F = __m128;
constexpr int lanes = 4;
HEARTH_INLINE F vmax(F a, F b) {
  return _mm_max_ps(a, b);
}
HEARTH_INLINE F vsqrt(F a) {
  return _mm_sqrt_ps(a);
}
HEARTH_INLINE F vround(F a) {
  return _mm_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
HEARTH_INLINE F vfma(F a, F b, F c) {
  return a * b + c;
}
HEARTH_INLINE F vset(float a) {
  return _mm_set1_ps(a);
}
using Words = std::uint64_t;
HEARTH_INLINE __m128i widen(Words half) {
  return _mm_cvtepu16_epi32(_mm_cvtsi64_si128(static_cast<long long>(half)));
}
HEARTH_INLINE Words narrow(__m128i whole) {
  return static_cast<Words>(_mm_cvtsi128_si64(_mm_packus_epi32(whole, whole)));
}
#endif

using Word = std::uint16_t;  // a bf16 number
typedef std::uint32_t U __attribute__((vector_size(lanes * 4)));
typedef std::int32_t I __attribute__((vector_size(lanes * 4)));

HEARTH_INLINE F vzero() {
  return vset(0.0F);
}

HEARTH_INLINE F load(const float* p) {
  F value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

HEARTH_INLINE F from_words(Words half) {
  return reinterpret_cast<F>(reinterpret_cast<U>(widen(half)) << 16);
}

// Rounds to nearest even; NaN stays NaN.
HEARTH_INLINE Words to_words(F value) {
  const U bits = reinterpret_cast<U>(value);
  const U rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const U quiet = (bits >> 16) | 0x0040U;
  const U chosen = (bits & 0x7fffffffU) > 0x7f800000U ? quiet : rounded;
  return narrow(reinterpret_cast<decltype(widen(Words{}))>(chosen));
}

HEARTH_INLINE F load(const Word* p) {
  Words half;
  __builtin_memcpy(&half, p, sizeof half);
  return from_words(half);
}

HEARTH_INLINE void store(float* p, F value) {
  __builtin_memcpy(p, &value, sizeof value);
}

HEARTH_INLINE void store(Word* p, F value) {
  const Words half = to_words(value);
  __builtin_memcpy(p, &half, sizeof half);
}

// The first `count` lanes; the others read as zero and are not written.
#if defined(__AVX512F__)
HEARTH_INLINE __mmask16 lane_mask(std::int64_t count) {
  return static_cast<__mmask16>((1U << count) - 1U);
}

HEARTH_INLINE F load(const float* p, std::int64_t count) {
  return count == lanes ? load(p) : _mm512_maskz_loadu_ps(lane_mask(count), p);
}

HEARTH_INLINE F load(const Word* p, std::int64_t count) {
  if (count == lanes) return load(p);
  return from_words(_mm256_maskz_loadu_epi16(lane_mask(count), p));
}

HEARTH_INLINE void store(float* p, F value, std::int64_t count) {
  if (count == lanes) return store(p, value);
  _mm512_mask_storeu_ps(p, lane_mask(count), value);
}

HEARTH_INLINE void store(Word* p, F value, std::int64_t count) {
  if (count == lanes) return store(p, value);
  _mm256_mask_storeu_epi16(p, lane_mask(count), to_words(value));
}
#else
template <class S>
HEARTH_INLINE F load(const S* p, std::int64_t count) {
  if (count == lanes) return load(p);
  S part[lanes] = {};
  for (std::int64_t i = 0; i < count; ++i) part[i] = p[i];
  return load(part);
}

template <class S>
HEARTH_INLINE void store(S* p, F value, std::int64_t count) {
  if (count == lanes) return store(p, value);
  S part[lanes];
  store(part, value);
  for (std::int64_t i = 0; i < count; ++i) p[i] = part[i];
}
#endif

// step(i, count) for every vector of [0, n); count is `lanes` but for the last.
template <class Step>
HEARTH_INLINE void vectors(std::int64_t n, const Step& step) {
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) step(i, std::int64_t{lanes});
  if (i < n) step(i, n - i);
}

// Sum and largest of the lanes, halves folded in a fixed order.
#if defined(__AVX512F__)
HEARTH_INLINE __m256 lower(F a) {
  return _mm512_castps512_ps256(a);
}
HEARTH_INLINE __m256 upper(F a) {
  return __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15);
}
#endif

HEARTH_INLINE float fold_sum(__m128 a) {
  a = a + _mm_movehl_ps(a, a);
  return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}

HEARTH_INLINE float fold_max(__m128 a) {
  a = _mm_max_ps(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}

#if defined(__AVX2__)
HEARTH_INLINE float fold_sum(__m256 a) {
  return fold_sum(_mm256_castps256_ps128(a) + _mm256_extractf128_ps(a, 1));
}
HEARTH_INLINE float fold_max(__m256 a) {
  return fold_max(_mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1)));
}
#endif

#if defined(__AVX512F__)
HEARTH_INLINE float fold_sum(__m512 a) {
  return fold_sum(lower(a) + upper(a));
}
HEARTH_INLINE float fold_max(__m512 a) {
  return fold_max(_mm256_max_ps(lower(a), upper(a)));
}
#endif

// value in the first `count` lanes, `other` in the rest.
HEARTH_INLINE F keep(F value, std::int64_t count, float other) {
  if (count == lanes) return value;
  float part[lanes];
  store(part, value);
  for (std::int64_t i = count; i < lanes; ++i) part[i] = other;
  return load(part);
}

// a * 2^n for whole n in [-300, 300], in two steps so that subnormal results round once.
HEARTH_INLINE F times_power(F a, F n) {
#if defined(__AVX512F__)
  return _mm512_scalef_ps(a, n);
#else
  const I whole = __builtin_convertvector(n, I);
  const I half = whole >> 1;
  return a * reinterpret_cast<F>((half + 127) << 23) * reinterpret_cast<F>((whole - half + 127) << 23);
#endif
}

// e^x, largest error about 1 unit in the last place (Cephes' polynomial); 0 below -104, infinity above 89, NaN stays
// NaN.
HEARTH_INLINE F vexp(F x) {
  x = x < -104.0F ? vset(-104.0F) : x;
  x = x > 89.0F ? vset(89.0F) : x;
  const F n = vround(x * 1.44269504088896341F);
  F r = vfma(n, vset(-0.693359375F), x);
  r = vfma(n, vset(2.12194440e-4F), r);
  F p = vset(1.9875691500e-4F);
  p = vfma(p, r, vset(1.3981999507e-3F));
  p = vfma(p, r, vset(8.3334519073e-3F));
  p = vfma(p, r, vset(4.1665795894e-2F));
  p = vfma(p, r, vset(1.6666665459e-1F));
  p = vfma(p, r, vset(5.0000001201e-1F));
  p = vfma(p, r * r, r) + 1.0F;
  return times_power(p, n);
}

}  // namespace
