#pragma once
// Luma of 8-bit RGB: of the scores, and of JPEG.
#include <cstdint>

#include "core/hd.h"

namespace srfast {

// BT.601 luma as MATLAB's rgb2ycbcr gives it, rounded:
// Y = round(16 + (65.481 R + 128.553 G + 24.966 B) / 255), 16..235.
// Weights times 2^22 / 255000, rounded; equal to the exact rational for all 2^24 colours (tests/ops/test_luma.py).
SRFAST_HD uint32_t luma(uint32_t r, uint32_t g, uint32_t b) {
  return 16u + ((1077048u * r + 2114472u * g + 410647u * b + 2097161u) >> 22);
}

// y[x] of n pixels of RGB.
SRFAST_INLINE void luma_row(const uint8_t* __restrict rgb, int64_t n, uint8_t* __restrict y) {
  for (int64_t x = 0; x < n; ++x) y[x] = static_cast<uint8_t>(luma(rgb[3 * x], rgb[3 * x + 1], rgb[3 * x + 2]));
}

// Luma of JPEG (JFIF), rounded: the plane that quantisation tables speak of.
SRFAST_INLINE int jfif_luma(int r, int g, int b) { return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16; }

}  // namespace srfast
