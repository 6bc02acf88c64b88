// The planes a score is made of: luma, Sobel map, 8-bit LR, up-sampled luma. Part of the engine, compiled once per
// instruction set under the rules of score_engine.h.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/bicubic.h"
#include "core/filter.h"
#include "cpu/score_plan.h"

namespace srfast {
namespace SRFAST_ENGINE {
namespace {

#define SRFAST_INLINE inline __attribute__((always_inline))

SRFAST_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
SRFAST_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Columns begin..end-1 of row y.
SRFAST_INLINE void luma_row(const Plane& p, int64_t y, int64_t begin, int64_t end, uint8_t* __restrict out) {
  const uint8_t* __restrict row = p.base + y * p.row_stride + begin * p.channels;
  if (p.channels == 1) {
    std::memcpy(out, row, static_cast<size_t>(end - begin));
    return;
  }
  for (int64_t x = 0; x < end - begin; ++x)
    out[x] = static_cast<uint8_t>(luma(row[3 * x], row[3 * x + 1], row[3 * x + 2]));
}

// 0.5 |Gx| + 0.5 |Gy| of row y, reflect-101 border; a and c are the rows above and below.
SRFAST_INLINE void sobel_row(const uint8_t* __restrict a, const uint8_t* __restrict b, const uint8_t* __restrict c,
                             int64_t w, float* __restrict out) {
  auto at = [&](int64_t x, int64_t l, int64_t r) {
    const int gx = (a[r] + 2 * b[r] + c[r]) - (a[l] + 2 * b[l] + c[l]);
    const int gy = (c[l] + 2 * c[x] + c[r]) - (a[l] + 2 * a[x] + a[r]);
    out[x] = 0.5f * static_cast<float>((gx < 0 ? -gx : gx) + (gy < 0 ? -gy : gy));
  };
  if (w == 1) return at(0, 0, 0);
  at(0, 1, 1);
  for (int64_t x = 1; x < w - 1; ++x) at(x, x - 1, x + 1);
  at(w - 1, w - 2, w - 2);
}

template <int S>
SRFAST_INLINE void down_row(const Tables& t, const Scratch& s, int64_t i) {
  using F = Filter<S>;
  constexpr int taps = F::kDownTaps;
  const uint8_t* rows[16];
  for (int j = 0; j < taps; ++j) rows[j] = s.y_ring + (t.down_rows[i * taps + j] & 31) * t.w;
  uint8_t* __restrict mid = s.mid + F::kReach;  // mid[x] is column x
  for (int64_t x = 0; x < t.w; ++x) {
    int32_t sum = 0;
#pragma GCC unroll 16
    for (int j = 0; j < taps; ++j) sum += F::down(j) * rows[j][x];
    mid[x] = static_cast<uint8_t>(F::round_uint8(sum));
  }
  for (int64_t x = -F::kReach; x < 0; ++x) mid[x] = mid[t.down_cols[x + F::kReach]];
  for (int64_t x = t.w; x < t.w + F::kReach; ++x) mid[x] = mid[t.down_cols[x + F::kReach]];
  uint8_t* __restrict out = s.lr + i * t.lw;
  for (int64_t x = 0; x < t.lw; ++x) {
    int32_t sum = 0;
#pragma GCC unroll 16
    for (int j = 0; j < taps; ++j) sum += F::down(j) * mid[S * x + j - F::kReach];
    out[x] = static_cast<uint8_t>(F::round_uint8(sum));
  }
}

// The whole LR plane, and the Sobel map's rows for the sink.
template <int S>
SRFAST_INLINE void degrade(const Tables& t, const Scratch& s, const Plane& p, const Sink& sink) {
  auto ring = [&](int64_t y) { return s.y_ring + (y & 31) * t.w; };
  int64_t have = 0;
  auto need = [&](int64_t y) {
    for (; have <= y && have < t.h; ++have) luma_row(p, have, 0, t.w, ring(have));
  };
  int64_t edge = t.top;
  auto sobel_until = [&](int64_t last) {
    for (; edge <= last && edge < t.bottom; ++edge) {
      need(edge + 1);
      const int64_t up = edge > 0 ? edge - 1 : (t.h > 1 ? 1 : 0);
      const int64_t down = edge < t.h - 1 ? edge + 1 : (t.h > 1 ? t.h - 2 : 0);
      sobel_row(ring(up), ring(edge), ring(down), t.w, s.out);
      sink.row(sink.context, kSobelRow, edge, s.out + t.left, t.right - t.left);
    }
  };
  for (int64_t i = 0; i < t.lh; ++i) {
    need(S * i + 3 * S);
    if (sink.wants[kSobelRow]) sobel_until(S * i);
    down_row<S>(t, s, i);
  }
  if (sink.wants[kSobelRow]) sobel_until(t.h);
}

// The LR plane with its border, less `offset`, as another type.
template <class T>
SRFAST_INLINE void pad_lr(const Tables& t, const Scratch& s, T* plane, int offset) {
  for (int64_t i = 0; i < t.lh + 2 * kUpPad; ++i) {
    const uint8_t* __restrict row = s.lr + t.lr_rows[i] * t.lw;
    T* __restrict out = plane + i * s.lr_stride;
    for (int64_t x = 0; x < kUpPad; ++x) out[x] = static_cast<T>(row[t.lr_cols[x]] - offset);
    for (int64_t x = 0; x < t.lw; ++x) out[kUpPad + x] = static_cast<T>(row[x] - offset);
    for (int64_t x = t.lw + kUpPad; x < t.lw + 2 * kUpPad; ++x) out[x] = static_cast<T>(row[t.lr_cols[x]] - offset);
  }
}

// Row y of the up-sampled plane with four pixels of replicated border on both sides.
template <int S>
SRFAST_INLINE void up_row(const Packed& k, const Tables& t, const Scratch& s, int64_t y) {
  const int p = static_cast<int>(y % S);
  const float* row = s.lr_pad + (y / S + k.up_first[p] + kUpPad) * s.lr_stride;
  const float a = k.up[p][0], b = k.up[p][1], c = k.up[p][2], d = k.up[p][3];
  float* __restrict mid = s.up_mid;
  const int64_t n = t.lw + 2 * kUpPad;
  for (int64_t x = 0; x < n; ++x)
    mid[x] = a * row[x] + b * row[x + s.lr_stride] + c * row[x + 2 * s.lr_stride] + d * row[x + 3 * s.lr_stride];
  float* __restrict out = s.up_ring + (y % 9) * s.up_stride;
  float* __restrict hr = out + kR1;
  for (int q = 0; q < S; ++q) {
    const float* __restrict m = mid + kUpPad + k.up_first[q];
    const float e = k.up[q][0], f = k.up[q][1], g = k.up[q][2], h = k.up[q][3];
    for (int64_t x = 0; x < t.lw; ++x) hr[S * x + q] = e * m[x] + f * m[x + 1] + g * m[x + 2] + h * m[x + 3];
  }
  for (int x = 0; x < kR1; ++x) {
    out[x] = hr[0];
    hr[t.w + x] = hr[t.w - 1];
  }
}

// Row y of the squared error of sr, [w].
SRFAST_INLINE void emit_error(const Tables& t, const Scratch& s, const Plane& p, const Sink& sink, int kind, int64_t y,
                              const float* __restrict sr) {
  const int64_t w = t.right - t.left;
  uint8_t* __restrict hr = s.y_ring;
  luma_row(p, y, t.left, t.right, hr);
  float* __restrict out = s.out;
  sr += t.left;
  for (int64_t x = 0; x < w; ++x) {
    const float d = sr[x] - static_cast<float>(hr[x]);
    out[x] = d * d;
  }
  sink.row(sink.context, kind, y, out, w);
}

}  // namespace
}  // namespace SRFAST_ENGINE
}  // namespace srfast
