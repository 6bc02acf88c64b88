#pragma once
// The sparse rows of one resampling pass: out[i] = sum_k weight[i * taps + k] * in[index[i * taps + k]].
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/bicubic.h"

namespace srfast {

struct Taps {
  int64_t out = 0;
  int taps = 0;
  std::vector<int32_t> index;  // [out, taps], border already applied
  std::vector<double> weight;  // [out, taps], rows sum to 1
};

// MATLAB's `contributions`: 1-based centre u = x / scale + (1 - 1 / scale) / 2, leftmost tap floor(u - width / 2).
inline Taps make_taps(int64_t in, int64_t out, double scale, int boundary) {
  const double width = scale < 1.0 ? 4.0 / scale : 4.0;
  Taps t;
  t.out = out;
  t.taps = static_cast<int>(std::ceil(width)) + 2;
  t.index.resize(static_cast<size_t>(out * t.taps));
  t.weight.resize(static_cast<size_t>(out * t.taps));
  for (int64_t i = 0; i < out; ++i) {
    const double u = static_cast<double>(i + 1) / scale + 0.5 * (1.0 - 1.0 / scale);
    const double left = std::floor(u - width / 2);
    int32_t* index = t.index.data() + i * t.taps;
    double* weight = t.weight.data() + i * t.taps;
    double sum = 0;
    for (int k = 0; k < t.taps; ++k) {
      const double d = u - (left + k);
      weight[k] = scale < 1.0 ? scale * cubic(scale * d) : cubic(d);
      sum += weight[k];
      index[k] = static_cast<int32_t>(border_index(static_cast<int64_t>(left) + k - 1, in, boundary));
    }
    for (int k = 0; k < t.taps; ++k) weight[k] /= sum;
  }
  return t;
}

}  // namespace srfast
