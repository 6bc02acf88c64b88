#pragma once
// The bicubic up-sampler by an integer as four taps a phase, and its composition with a replicated window.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/bicubic.h"

namespace srfast {

struct Phase {
  int first;  // LR offset of the first tap
  double weight[4];
};

// Output s * i + p reads LR i + first .. i + first + 3. 1-based centre u = (s * i + p + 1) / s + (1 - 1 / s) / 2.
inline Phase up_phase(int s, int p) {
  const double u = (p + 1.0) / s + 0.5 * (1.0 - 1.0 / s);
  const double left = std::floor(u - 2.0) + (u - 2.0 == std::floor(u - 2.0) ? 0.0 : 1.0);
  Phase phase;
  phase.first = static_cast<int>(left) - 1;
  double sum = 0;
  for (int j = 0; j < 4; ++j) sum += phase.weight[j] = cubic(u - (left + j));
  for (double& w : phase.weight) w /= sum;
  return phase;
}

inline int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// LR weights [2 radius + 1][taps] of the window of HR pixels position - radius .. position + radius, each clamped to
// lowest..highest; offsets count from LR pixel floor(position / s), starting at `first`.
struct Window {
  int first = 0, taps = 0;
  std::vector<double> weight;
};

inline Window window(int s, int position, int radius, int lowest, int highest) {
  const int base = floor_div(position, s);
  int lo = 1 << 20, hi = -(1 << 20);
  auto each = [&](auto&& body) {
    for (int d = -radius; d <= radius; ++d) {
      const int hr = std::clamp(position + d, lowest, highest);
      const int q = floor_div(hr, s);
      const Phase phase = up_phase(s, hr - q * s);
      for (int j = 0; j < 4; ++j)
        if (phase.weight[j] != 0) body(d + radius, q + phase.first + j - base, phase.weight[j]);
    }
  };
  each([&](int, int offset, double) {
    lo = std::min(lo, offset);
    hi = std::max(hi, offset);
  });
  Window w;
  w.first = lo;
  w.taps = hi - lo + 1;
  w.weight.assign(static_cast<size_t>((2 * radius + 1) * w.taps), 0.0);
  each([&](int d, int offset, double weight) { w.weight[static_cast<size_t>(d * w.taps + offset - lo)] += weight; });
  return w;
}

}  // namespace srfast
