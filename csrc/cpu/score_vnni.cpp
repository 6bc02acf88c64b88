// Reduced precision on AVX-512 VNNI: four int8 products (conv1) or two int16 products (conv2, conv3) an instruction
// instead of one float; 8-bit LR pixels enter exactly.
#define SRFAST_ENGINE engine_vnni
#define SRFAST_LANES 16
#include <immintrin.h>

#include "cpu/int_weights.h"
#include "cpu/score_engine.h"

namespace srfast {
namespace engine_vnni {
namespace {

SRFAST_INLINE __m512i load512(const void* p) { return _mm512_loadu_si512(p); }

SRFAST_INLINE __m512i splat32(const void* p) {
  int32_t v;
  std::memcpy(&v, p, sizeof v);
  return _mm512_set1_epi32(v);
}

// acc += four uint8 x int8 products, acc += two int16 products. Assembly, because GCC 12 copies and spills the
// accumulators of the intrinsics (measured 0.86 x).
SRFAST_INLINE void dot4(__m512i& acc, __m512i pixels, __m512i weights) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(pixels), "v"(weights));
}
SRFAST_INLINE void dot2(__m512i& acc, __m512i a, __m512i b) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
}

// relu(sum * m + a) of 32 channels as int16, in the order of packed_channel().
SRFAST_INLINE __m512i requantize(__m512i low, __m512i high, const float* m, const float* a) {
  const __m512i x =
      _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(low), _mm512_loadu_ps(m), _mm512_loadu_ps(a)));
  const __m512i y =
      _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(high), _mm512_loadu_ps(m + 16), _mm512_loadu_ps(a + 16)));
  return _mm512_min_epu16(_mm512_packus_epi32(x, y), _mm512_set1_epi16(32767));
}

template <int PX>
SRFAST_INLINE void conv1_int(const IntWeights& z, int pair, const uint8_t* const* rows, int64_t x, int16_t* h1) {
  const int8_t* w = z.w1 + static_cast<int64_t>(pair) * z.taps * 8 * kC1;
  __m512i acc[PX][4];
  for (int p = 0; p < PX; ++p)
    for (int v = 0; v < 4; ++v) acc[p][v] = _mm512_setzero_si512();
  for (int i = 0; i < z.taps; ++i) {
    const uint8_t* r = rows[i] + x;
    for (int g = 0; g < 2; ++g, r += 4, w += kC1 * 4) {
      __m512i wv[4];
      for (int v = 0; v < 4; ++v) wv[v] = load512(w + 64 * v);
      for (int p = 0; p < PX; ++p) {
        const __m512i xv = splat32(r + p);
        for (int v = 0; v < 4; ++v) dot4(acc[p][v], xv, wv[v]);
      }
    }
  }
  const float* m = z.m1 + static_cast<int64_t>(pair) * kC1;
  for (int p = 0; p < PX; ++p) {
    _mm512_storeu_si512(h1 + p * kC1, requantize(acc[p][0], acc[p][1], m, z.a1));
    _mm512_storeu_si512(h1 + p * kC1 + 32, requantize(acc[p][2], acc[p][3], m + 32, z.a1 + 32));
  }
}

template <int PX>
SRFAST_INLINE void conv2_int(const IntWeights& z, const int16_t* h1, int16_t* h2, int64_t stride) {
  __m512i acc[PX][2];
  for (int p = 0; p < PX; ++p) acc[p][0] = acc[p][1] = _mm512_setzero_si512();
  const int16_t* w = z.w2;
  for (int i = 0; i < kC1; i += 2, w += 2 * kC2) {
    const __m512i w0 = load512(w), w1 = load512(w + 32);
    for (int p = 0; p < PX; ++p) {
      const __m512i xv = splat32(h1 + p * kC1 + i);
      dot2(acc[p][0], xv, w0);
      dot2(acc[p][1], xv, w1);
    }
  }
  for (int p = 0; p < PX; ++p) _mm512_storeu_si512(h2 + p * stride, requantize(acc[p][0], acc[p][1], z.m2, z.a2));
}

SRFAST_INLINE int64_t base_of(int cls, int s, int64_t position, int64_t n) {
  // Classes at the end count from the last LR pixel: floor((position - n) / s) + n / s.
  return cls < s + 4 ? position / s : n / s - (n - position + s - 1) / s;
}

SRFAST_INLINE int class_of(int s, int64_t position, int64_t n) {
  if (position < kR1) return s + static_cast<int>(position);
  if (position >= n - kR1) return s + kR1 + static_cast<int>(position - (n - kR1));
  return static_cast<int>(position % s);
}

// The h2 row of HR row y, borders included, at the columns that the sink's take part in: every row and column has the
// filter of its class.
template <int S>
SRFAST_INLINE void features_int(const IntWeights& z, const Tables& t, const Scratch& s, int64_t y) {
  int16_t* row = s.h2_int + (y % 5) * s.h2_stride;
  int16_t* h2 = row + kR3 * kC2;
  const int cy = class_of(S, y, t.h);
  const uint8_t* lr[8];
  for (int i = 0; i < z.taps; ++i)
    lr[i] = s.lr_pad8 + (base_of(cy, S, y, t.h) + z.first[cy] + kUpPad + i) * s.lr_stride + kUpPad;
  const int64_t begin = larger(t.left - kR3, 0), end = smaller(t.right + kR3, t.w);
  for (int px = 0; px < S; ++px) {
    const int64_t k0 = larger((kR1 - px + S - 1) / S, begin / S);
    const int64_t k1 = smaller((t.w - kR1 - px + S - 1) / S, (end + S - 1) / S);
    const int pair = cy * z.classes + px;
    const int64_t first = z.first[px];
    span(k0, k1, [&](int64_t k, bool six) __attribute__((always_inline)) {
      int16_t* out = h2 + (S * k + px) * kC2;
      if (six) {
        conv1_int<kPx>(z, pair, lr, k + first, s.h1_int);
        conv2_int<kPx>(z, s.h1_int, out, S * kC2);
      } else {
        conv1_int<4>(z, pair, lr, k + first, s.h1_int);
        conv2_int<4>(z, s.h1_int, out, S * kC2);
      }
    });
  }
  for (int64_t x = 0; x < t.w; x += t.w - kR1) {
    if (x < begin || x >= end) continue;
    for (int i = 0; i < kR1; ++i) {
      const int cx = class_of(S, x + i, t.w);
      conv1_int<1>(z, cy * z.classes + cx, lr, base_of(cx, S, x + i, t.w) + z.first[cx], s.h1_int + i * kC1);
    }
    conv2_int<4>(z, s.h1_int, h2 + x * kC2, kC2);
  }
  for (int x = 0; x < kR3; ++x) {
    std::memcpy(row + x * kC2, h2, kC2 * sizeof(int16_t));
    std::memcpy(h2 + (t.w + x) * kC2, h2 + (t.w - 1) * kC2, kC2 * sizeof(int16_t));
  }
}

// Sums of neighbouring lanes of a, then of b.
SRFAST_INLINE __m512i pair_sums_int(__m512i a, __m512i b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return _mm512_add_epi32(_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b));
}

SRFAST_INLINE void conv3_int(const IntWeights& z, const int16_t* const* rows, int64_t x, float* out) {
  __m512i acc[16];
  for (int p = 0; p < 16; ++p) acc[p] = _mm512_setzero_si512();
  for (int i = 0; i < 5; ++i) {
    const int16_t* h = rows[i] + x * kC2;
    __m512i w[5];
    for (int j = 0; j < 5; ++j) w[j] = load512(z.w3 + (i * 5 + j) * kC2);
#pragma GCC unroll 20
    for (int q = 0; q < 20; ++q) {
      const __m512i v = load512(h + q * kC2);
#pragma GCC unroll 5
      for (int j = 0; j < 5; ++j)
        if (q - j >= 0 && q - j < 16) dot2(acc[q - j], v, w[j]);
    }
  }
#pragma GCC unroll 4
  for (int n = 16; n > 1; n /= 2)
#pragma GCC unroll 8
    for (int p = 0; p < n / 2; ++p) acc[p] = pair_sums_int(acc[2 * p], acc[2 * p + 1]);
  _mm512_storeu_ps(out + x, _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[0]), _mm512_set1_ps(z.m3), _mm512_set1_ps(z.a3)));
}

SRFAST_INLINE void pad_lr8(const Tables& t, const Scratch& s) {
  for (int64_t i = 0; i < t.lh + 2 * kUpPad; ++i) {
    const uint8_t* row = s.lr + t.lr_rows[i] * t.lw;
    uint8_t* out = s.lr_pad8 + i * s.lr_stride;
    for (int64_t x = 0; x < kUpPad; ++x) out[x] = row[t.lr_cols[x]];
    std::memcpy(out + kUpPad, row, static_cast<size_t>(t.lw));
    for (int64_t x = t.lw + kUpPad; x < t.lw + 2 * kUpPad; ++x) out[x] = row[t.lr_cols[x]];
  }
}

template <int S>
SRFAST_INLINE void score_int(const Packed& k, const Tables& t, const Scratch& s, const Plane& p, const Sink& sink) {
  const IntWeights& z = *k.integer;
  degrade<S>(t, s, p, sink);
  pad_lr8(t, s);
  if (sink.wants[kBicubicRow]) {
    pad_lr(t, s);
    for (int64_t y = t.top; y < t.bottom; ++y) {
      up_row<S>(k, t, s, y);
      emit_error(t, s, p, sink, kBicubicRow, y, s.up_ring + (y % 9) * s.up_stride + kR1);
    }
  }
  int64_t have = larger(t.top - kR3, 0);
  for (int64_t y = t.top; y < t.bottom; ++y) {
    for (; have <= y + kR3 && have < t.h; ++have) features_int<S>(z, t, s, have);
    int16_t* rows[5];
    conv3_rows(t, s.h2_int, s.h2_stride, y, rows);
    for (int64_t x = t.left; x < t.right; x += L) conv3_int(z, rows, x, s.sr);
    emit_error(t, s, p, sink, kLossRow, y, s.sr);
  }
}

}  // namespace
}  // namespace engine_vnni

void score_plane_vnni(const Packed& k, const Tables& t, const Scratch& s, const Plane& p, const Sink& sink,
                      bool network) {
  using namespace engine_vnni;
  // Closer borders than this would need filters clamped on both sides.
  if (!network || t.h < 2 * kR1 || t.w < 2 * kR1) return score_plane(k, t, s, p, sink, network);
  if (k.scale == 2)
    score_int<2>(k, t, s, p, sink);
  else if (k.scale == 3)
    score_int<3>(k, t, s, p, sink);
  else
    score_int<4>(k, t, s, p, sink);
}

}  // namespace srfast
