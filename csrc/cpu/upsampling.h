#pragma once
// The bicubic up-sampler by an integer as four taps a phase, and its composition with a replicated window.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/filter.h"
#include "cpu/engine_types.h"

namespace srfast {

struct Phase {
  int first;  // LR offset of the first tap
  double weight[4];
};

// Output s * i + p reads LR i + first .. i + first + 3: the taps of core/filter.h.
template <int S>
inline Phase up_phase(int p) {
  using F = Filter<S>;
  const int skip = F::first_up(p);
  Phase phase{skip - 2, {}};
  for (int j = 0; j < 4; ++j) phase.weight[j] = static_cast<double>(F::up(p, skip + j)) / F::kUpDenominator;
  return phase;
}

inline Phase up_phase(int s, int p) { return s == 2 ? up_phase<2>(p) : (s == 3 ? up_phase<3>(p) : up_phase<4>(p)); }

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

// The windows of conv1 by class (int_weights.h): the phases inside, the first rows or columns, the last ones.
inline std::vector<Window> classes(int s) {
  constexpr int far = 1 << 20;  // no clamping
  std::vector<Window> w;
  for (int p = 0; p < s; ++p) w.push_back(window(s, p, kR1, -far, far));
  for (int i = 0; i < kR1; ++i) w.push_back(window(s, i, kR1, 0, far));
  for (int i = 0; i < kR1; ++i) w.push_back(window(s, i - kR1, kR1, -far, -1));
  return w;
}

// conv1, of inputs in [0, 255], composed with the up-sampler for one pair of classes: [64][y taps][x taps].
inline std::vector<double> fold(const float* w1, const Window& y, const Window& x) {
  std::vector<double> out(static_cast<size_t>(kC1 * y.taps * x.taps), 0.0);
  std::vector<double> half(static_cast<size_t>(9 * x.taps));
  for (int c = 0; c < kC1; ++c) {
    std::fill(half.begin(), half.end(), 0.0);
    for (int i = 0; i < 9; ++i)
      for (int j = 0; j < 9; ++j)
        for (int b = 0; b < x.taps; ++b)
          half[i * x.taps + b] += static_cast<double>(w1[(c * 9 + i) * 9 + j]) / 255.0 * x.weight[j * x.taps + b];
    for (int i = 0; i < 9; ++i)
      for (int a = 0; a < y.taps; ++a)
        for (int b = 0; b < x.taps; ++b)
          out[(c * y.taps + a) * x.taps + b] += y.weight[i * y.taps + a] * half[i * x.taps + b];
  }
  return out;
}

}  // namespace srfast
