#pragma once
// The bicubic filter of MATLAB's imresize: Keys (1981), a = -0.5, widened by 1/scale when shrinking.
#include <cstdint>

#include "core/hd.h"

namespace srfast {

enum Boundary : int { kSymmetric = 0, kReplicate = 1 };

// cubic(x), support [-2, 2].
SRFAST_HD double cubic(double x) {
  const double a = x < 0 ? -x : x;
  if (a <= 1.0) return (1.5 * a - 2.5) * a * a + 1.0;
  if (a <= 2.0) return ((-0.5 * a + 2.5) * a - 4.0) * a + 2.0;
  return 0.0;
}

// Index of the pixel that stands at position i (any integer) outside 0..n-1.
// symmetric: half-sample mirror, 0 1 .. n-1 n-1 .. 1 0, period 2n; replicate: nearest edge.
SRFAST_HD int64_t border_index(int64_t i, int64_t n, int boundary) {
  if (boundary == kReplicate) return i < 0 ? 0 : (i >= n ? n - 1 : i);
  const int64_t period = 2 * n;
  int64_t m = i % period;
  if (m < 0) m += period;
  return m < n ? m : period - 1 - m;
}

}  // namespace srfast
