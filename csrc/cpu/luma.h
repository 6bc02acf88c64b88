#pragma once
// Rows of luma. Inlined into what is compiled for one instruction set.
#include <cstdint>

#include "core/bicubic.h"

namespace srfast {

// y[x] of n pixels of RGB.
SRFAST_HD void luma_row(const uint8_t* __restrict rgb, int64_t n, uint8_t* __restrict y) {
  for (int64_t x = 0; x < n; ++x) y[x] = static_cast<uint8_t>(luma(rgb[3 * x], rgb[3 * x + 1], rgb[3 * x + 2]));
}

}  // namespace srfast
