// The planes a score is made of: luma, Sobel map, 8-bit LR, up-sampled luma. Part of the engine, compiled once per
// instruction set under the rules of score_engine.h.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/filter.h"
#include "core/luma.h"
#include "cpu/engine_types.h"

namespace srfast {
namespace SRFAST_ENGINE {
namespace {

SRFAST_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
SRFAST_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

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
  for (int j = 0; j < taps; ++j) rows[j] = s.y + t.down_rows[i * taps + j] * t.w;
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

// The whole Y and LR planes, and the Sobel map's rows for the sink. Not inlined: beside sobel_row, GCC 12 writes the
// sums of every integer layer to the stack (fast 0.6 x).
template <int S>
__attribute__((noinline)) void degrade(const Tables& t, const Scratch& s, const Image& p, const Sink& sink) {
  auto row = [&](int64_t y) { return s.y + y * t.w; };
  for (int64_t y = 0; y < t.h; ++y) {
    const uint8_t* pixels = p.at(y, 0);
    if (p.channels == 1)
      std::memcpy(row(y), pixels, static_cast<size_t>(t.w));
    else
      luma_row(pixels, t.w, row(y));
  }
  for (int64_t y = t.top; sink.wants[kSobelRow] && y < t.bottom; ++y) {
    const int64_t up = y > 0 ? y - 1 : (t.h > 1 ? 1 : 0);
    const int64_t down = y < t.h - 1 ? y + 1 : (t.h > 1 ? t.h - 2 : 0);
    sobel_row(row(up), row(y), row(down), t.w, s.out);
    sink.row(sink.context, kSobelRow, y, s.out + t.left, t.right - t.left);
  }
  for (int64_t i = 0; i < t.lh; ++i) down_row<S>(t, s, i);
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
SRFAST_INLINE void emit_error(const Tables& t, const Scratch& s, const Sink& sink, int kind, int64_t y,
                              const float* __restrict sr) {
  const int64_t w = t.right - t.left;
  const uint8_t* __restrict hr = s.y + y * t.w + t.left;
  float* __restrict out = s.out;
  sr += t.left;
  for (int64_t x = 0; x < w; ++x) {
    const float d = sr[x] - static_cast<float>(hr[x]);
    out[x] = d * d;
  }
  sink.row(sink.context, kind, y, out, w);
}

// The rows of bicubic's squared error, where the sink wants them.
template <int S>
SRFAST_INLINE void bicubic_rows(const Packed& k, const Tables& t, const Scratch& s, const Sink& sink) {
  for (int64_t y = t.top; sink.wants[kBicubicRow] && y < t.bottom; ++y) {
    up_row<S>(k, t, s, y);
    emit_error(t, s, sink, kBicubicRow, y, s.up_ring + (y % 9) * s.up_stride + kR1);
  }
}

// Scratch::edges; planes of at least eight columns.
template <int S>
SRFAST_INLINE void up_edges(const Packed& k, const Tables& t, const Scratch& s) {
  for (int side = 0; side < 2; ++side)
    for (int x = 0; x < 3 * kR1; ++x) {
      const int64_t hr = side == 0 ? larger(x - kR1, 0) : smaller(t.w - 2 * kR1 + x, t.w - 1);
      const float* weights = k.up[hr % S];
      const float* lr = s.lr_pad + kUpPad + hr / S + k.up_first[hr % S];
      float* out = s.edges + side * kEdge + x;
      for (int64_t i = 0; i < t.lh + 2 * kUpPad; ++i, lr += s.lr_stride, out += 2 * kEdge)
        *out = weights[0] * lr[0] + weights[1] * lr[1] + weights[2] * lr[2] + weights[3] * lr[3];
    }
}

}  // namespace
}  // namespace SRFAST_ENGINE
}  // namespace srfast
