// Small products on registers: the inside of attention.
#pragma once

#include "kernels/cpu/isa/vector.h"

namespace {

// Rows of c in registers at once, beside two vectors of columns: 24 (12) of the 32 (16) registers hold sums.
constexpr std::int64_t panel_rows = lanes == 16 ? 12 : 6;
constexpr std::int64_t panel_columns = 2 * lanes;
// Rows of the score tiles are this far apart, whatever part of them is in use.
constexpr std::int64_t tile_pitch = 192;
static_assert(tile_pitch % panel_rows == 0 && tile_pitch % panel_columns == 0);

// How the left factor lies: `across`: element (i, l) at a[l * a_step + i]; `along`: at a[i * tile_pitch + l].
enum class Left { across, along };

// c (panel_rows, count * lanes) = or += a (panel_rows, length) times b (length, count * lanes).
template <int count, Left left, bool adds>
__attribute__((noinline)) void panel_product(const float* a, std::int64_t a_step, const float* b, std::int64_t b_pitch,
                                             std::int64_t length, float* c, std::int64_t c_pitch) {
  F sums[panel_rows][count];
#pragma GCC unroll 16
  for (int i = 0; i < panel_rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < count; ++j) sums[i][j] = vzero();
  }
  for (std::int64_t l = 0; l < length; ++l) {
    F right[count];
#pragma GCC unroll 2
    for (int j = 0; j < count; ++j) right[j] = load(b + j * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < panel_rows; ++i) {
      const F factor = vset(left == Left::across ? a[i] : a[i * tile_pitch]);
#pragma GCC unroll 2
      for (int j = 0; j < count; ++j) sums[i][j] = vfma(factor, right[j], sums[i][j]);
    }
    a += left == Left::across ? a_step : 1;
    b += b_pitch;
  }
#pragma GCC unroll 16
  for (int i = 0; i < panel_rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < count; ++j) {
      float* to = c + i * c_pitch + j * lanes;
      store(to, adds ? load(to) + sums[i][j] : sums[i][j]);
    }
  }
}

// The same for any number of whole vectors of columns.
template <Left left, bool adds>
HEARTH_INLINE void row_product(const float* a, std::int64_t a_step, const float* b, std::int64_t b_pitch,
                               std::int64_t length, float* c, std::int64_t c_pitch, std::int64_t columns) {
  std::int64_t j = 0;
  for (; j + panel_columns <= columns; j += panel_columns) {
    panel_product<2, left, adds>(a, a_step, b + j, b_pitch, length, c + j, c_pitch);
  }
  if (j < columns) panel_product<1, left, adds>(a, a_step, b + j, b_pitch, length, c + j, c_pitch);
}

HEARTH_INLINE std::int64_t round_up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}
HEARTH_INLINE std::int64_t round_down(std::int64_t n, std::int64_t step) {
  return n / step * step;
}
HEARTH_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
HEARTH_INLINE std::int64_t larger(std::int64_t a, std::int64_t b) {
  return a > b ? a : b;
}

HEARTH_INLINE __m128 load_four(const float* p) {
  return _mm_loadu_ps(p);
}

HEARTH_INLINE __m128 load_four(const Word* p) {
  return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))), 16));
}

HEARTH_INLINE float load_one(const float* p) {
  return *p;
}

HEARTH_INLINE float load_one(const Word* p) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(*p) << 16);
}

// `count` rows of x, `width` elements each, as panels of `panel` rows turned: element (r, h) at
// to[(r / panel * width + h) * panel + r % panel]. Rows from `count` to whole panels are zero.
template <std::int64_t panel, class S>
void pack_turned(const S* x, std::int64_t pitch, std::int64_t count, std::int64_t width, float* to) {
  for (std::int64_t r = 0; r < round_up(count, panel); r += panel, to += width * panel) {
    const std::int64_t rows = smaller(panel, count - r);
    std::int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
      const S* from = x + (r + i) * pitch;
      std::int64_t h = 0;
      for (; h + 4 <= width; h += 4) {
        __m128 a = load_four(from + h), b = load_four(from + pitch + h);
        __m128 c = load_four(from + 2 * pitch + h), d = load_four(from + 3 * pitch + h);
        _MM_TRANSPOSE4_PS(a, b, c, d);
        _mm_storeu_ps(to + h * panel + i, a);
        _mm_storeu_ps(to + (h + 1) * panel + i, b);
        _mm_storeu_ps(to + (h + 2) * panel + i, c);
        _mm_storeu_ps(to + (h + 3) * panel + i, d);
      }
      for (; h < width; ++h) {
        for (int j = 0; j < 4; ++j) to[h * panel + i + j] = load_one(from + j * pitch + h);
      }
    }
    for (; i < panel; ++i) {
      for (std::int64_t h = 0; h < width; ++h) to[h * panel + i] = i < rows ? load_one(x + (r + i) * pitch + h) : 0.0F;
    }
  }
}

// The same rows as they lie, `padded` floats apart, zeros beyond `width`.
template <class S>
void pack_rows(const S* x, std::int64_t pitch, std::int64_t count, std::int64_t width, std::int64_t padded, float* to) {
  for (std::int64_t r = 0; r < count; ++r) {
    for (std::int64_t h = 0; h < padded; h += lanes) {
      store(to + r * padded + h, load(x + r * pitch + h, larger(0, smaller(lanes, width - h))));
    }
  }
}

}  // namespace
