// The scoring engine, compiled once per instruction set. The including file defines SRFAST_ENGINE (a namespace name)
// and SRFAST_LANES (floats in a vector). Everything here is static or forced inline, and no library template is
// instantiated: the linker must never take a function compiled for one machine and call it on another.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cpu/score_plan.h"
#include "cpu/score_planes.h"

namespace srfast {
namespace SRFAST_ENGINE {
namespace {

constexpr int L = SRFAST_LANES;
typedef float Vec __attribute__((vector_size(L * 4)));
typedef int32_t Ints __attribute__((vector_size(L * 4)));

SRFAST_INLINE Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
SRFAST_INLINE void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }
SRFAST_INLINE Vec splat(float x) { return x - Vec{}; }
SRFAST_INLINE Vec relu(Vec v) { return v > 0.0f ? v : Vec{}; }

// --- Stage 3: the network --------------------------------------------------------------------------------------------

// A register tile is kPx pixels by kCv vectors of channels: their sums, kCv weights and a pixel are 29 of the 32 vector
// registers of AVX-512 and AArch64, or 15 of the 16 of AVX2 and SSE.
#if defined(__aarch64__)
constexpr int kCv = 4;
#else
constexpr int kCv = L == 16 ? 4 : 2;
#endif
constexpr int kPx = 6;
constexpr int kBlock1 = kCv * L;         // conv1 channels of a tile
constexpr int kCv2 = L == 16 ? 2 : kCv;  // vectors of conv2 channels of a tile: all 32 in AVX-512
constexpr int kBlock2 = kCv2 * L;        // conv2 channels of a tile

// acc[PX][channels] += x[p + dx] * w[dx][channel] over `rows` x `cols` taps; the tile stays in registers.
template <int PX>
SRFAST_INLINE void conv1_tile(const float* const* rows, int n_rows, int n_cols, int64_t x, const float* weights,
                              const float* bias, float* __restrict h1) {
  for (int c = 0; c < kC1; c += kBlock1) {
    Vec acc[PX][kCv];
    for (int v = 0; v < kCv; ++v) {
      const Vec b = load(bias + c + v * L);
      for (int p = 0; p < PX; ++p) acc[p][v] = b;
    }
    const float* w = weights + c;
    for (int i = 0; i < n_rows; ++i) {
      const float* r = rows[i] + x;
      for (int j = 0; j < n_cols; ++j, w += kC1) {
        Vec wv[kCv];
        for (int v = 0; v < kCv; ++v) wv[v] = load(w + v * L);
        for (int p = 0; p < PX; ++p) {
          const Vec xv = splat(r[j + p]);
          for (int v = 0; v < kCv; ++v) acc[p][v] += xv * wv[v];
        }
      }
    }
    for (int p = 0; p < PX; ++p)
      for (int v = 0; v < kCv; ++v) store(h1 + p * kC1 + c + v * L, relu(acc[p][v]));
  }
}

// h2[p * stride][32] = relu(b2 + h1[p] . w2)
template <int PX>
SRFAST_INLINE void conv2_tile(const Packed& k, const float* __restrict h1, float* h2, int64_t stride) {
  for (int c = 0; c < kC2; c += kBlock2) {
    Vec acc[PX][kCv2];
    for (int v = 0; v < kCv2; ++v) {
      const Vec b = load(k.b2 + c + v * L);
      for (int p = 0; p < PX; ++p) acc[p][v] = b;
    }
    const float* w = k.w2 + c;
    for (int i = 0; i < kC1; ++i, w += kC2) {
      Vec wv[kCv2];
      for (int v = 0; v < kCv2; ++v) wv[v] = load(w + v * L);
      for (int p = 0; p < PX; ++p) {
        const Vec xv = splat(h1[p * kC1 + i]);
        for (int v = 0; v < kCv2; ++v) acc[p][v] += xv * wv[v];
      }
    }
    for (int p = 0; p < PX; ++p)
      for (int v = 0; v < kCv2; ++v) store(h2 + p * stride + c + v * L, relu(acc[p][v]));
  }
}

template <int PX>
SRFAST_INLINE void tile(const Packed& k, const float* const* rows, int n_rows, int n_cols, int64_t x,
                        const float* weights, float* h1, float* h2, int64_t stride) {
  conv1_tile<PX>(rows, n_rows, n_cols, x, weights, k.b1, h1);
  conv2_tile<PX>(k, h1, h2, stride);
}

// Columns begin..end-1 in tiles of six and four pixels; the last tile may run past the end by less than four.
template <class F>
SRFAST_INLINE void span(int64_t begin, int64_t end, F&& body) {
  const int64_t n = end - begin;
  const int64_t fours = n < 6 ? (n + 3) / 4 : (n % 6 == 0 ? 0 : (n % 6 >= 3 ? (n % 6 == 5 ? 0 : 1) : 2));
  int64_t x = begin;
  for (int64_t i = 0; i < fours; ++i, x += 4) body(x, false);
  for (; x < end; x += kPx) body(x, true);
}

// 81 taps on the HR grid.
SRFAST_INLINE void direct_span(const Packed& k, const float* const* rows, int64_t begin, int64_t end, float* h1,
                               float* h2) {
  // Opaque to the compiler: unrolled 81 times, the AVX2 tile spills (measured 0.75 x).
  int n = 9;
  __asm__("" : "+r"(n));
  span(begin, end, [&](int64_t x, bool six) __attribute__((always_inline)) {
    if (six)
      tile<kPx>(k, rows, n, n, x, k.w1, h1, h2 + x * kC2, kC2);
    else
      tile<4>(k, rows, n, n, x, k.w1, h1, h2 + x * kC2, kC2);
  });
}

// Conv3's padding of a row of features: the first and the last pixel twice more.
template <class T>
SRFAST_INLINE void replicate_edges(T* h2, int64_t w) {
  for (int x = 0; x < kR3; ++x) {
    std::memcpy(h2 - (kR3 - x) * kC2, h2, kC2 * sizeof(T));
    std::memcpy(h2 + (w + x) * kC2, h2 + (w - 1) * kC2, kC2 * sizeof(T));
  }
}

// The h2 row of HR row y, at the columns that the sink's take part in. Inside the four-pixel border, where no tap is
// replicated, conv1 and the up-sampler are one filter.
template <int S>
SRFAST_INLINE void features_row(const Packed& k, const Tables& t, const Scratch& s, int64_t y) {
  float* h2 = s.h2_ring + (y % 5) * s.h2_stride + kR3 * kC2;
  const float* rows[9];
  for (int i = 0; i < 9; ++i) {
    int64_t r = y + i - kR1;
    r = r < 0 ? 0 : (r >= t.h ? t.h - 1 : r);
    rows[i] = s.up_ring + (r % 9) * s.up_stride;
  }
  const int64_t begin = larger(t.left - kR3, 0), end = smaller(t.right + kR3, t.w);
  const int64_t k0 = (kR1 + S - 1) / S, k1 = (t.w - kR1) / S;  // LR columns whose S pixels are all inside
  if (y < kR1 || y >= t.h - kR1 || k1 - k0 < 4) {
    direct_span(k, rows, begin, end, s.h1, h2);
  } else {
    const int n = k.fold_taps;
    const int py = static_cast<int>(y % S);
    const float* lr[8];
    for (int i = 0; i < n; ++i) lr[i] = s.lr_pad + (y / S + k.fold_first[py] + kUpPad + i) * s.lr_stride;
    for (int px = 0; px < S; ++px) {
      const float* w = k.fold + static_cast<int64_t>(py * S + px) * n * n * kC1;
      const int64_t shift = kUpPad + k.fold_first[px];
      float* out = h2 + px * kC2;
      span(larger(k0, begin / S), smaller(k1, (end + S - 1) / S),
           [&](int64_t x, bool six) __attribute__((always_inline)) {
             if (six)
               tile<kPx>(k, lr, n, n, x + shift, w, s.h1, out + x * S * kC2, S * kC2);
             else
               tile<4>(k, lr, n, n, x + shift, w, s.h1, out + x * S * kC2, S * kC2);
           });
    }
    direct_span(k, rows, begin, k0 * S, s.h1, h2);
    direct_span(k, rows, larger(begin, k1 * S), end, s.h1, h2);
  }
  replicate_edges(h2, t.w);
}

#if defined(__clang__)
#define SRFAST_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SRFAST_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (Ints{__VA_ARGS__}))
#endif

// Sums of neighbouring lanes of a, then of b.
template <class V>
SRFAST_INLINE V pair_sums(V a, V b) {
#if SRFAST_LANES == 16
  return SRFAST_SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
         SRFAST_SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#elif SRFAST_LANES == 8
  return SRFAST_SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14) + SRFAST_SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#else
  return SRFAST_SHUFFLE(a, b, 0, 2, 4, 6) + SRFAST_SHUFFLE(a, b, 1, 3, 5, 7);
#endif
}

// The sums of the lanes of each of L vectors; the first N are left to be added in pairs.
template <int N = L, class V>
SRFAST_INLINE V total(V (&acc)[L]) {
  if constexpr (N > 1) {
#pragma GCC unroll 8
    for (int p = 0; p < N / 2; ++p) acc[p] = pair_sums(acc[2 * p], acc[2 * p + 1]);
    total<N / 2>(acc);
  }
  return acc[0];
}

// L pixels of conv3 at column x: lanes are channels until the final sums.
SRFAST_INLINE void conv3_tile(const Packed& k, const float* const* rows, int64_t x, float* out) {
  Vec acc[L];
  for (int p = 0; p < L; ++p) acc[p] = Vec{};
  for (int i = 0; i < 5; ++i) {
    for (int c = 0; c < kC2; c += L) {
      const float* h = rows[i] + x * kC2 + c;
      Vec w[5];
      for (int j = 0; j < 5; ++j) w[j] = load(k.w3 + (i * 5 + j) * kC2 + c);
#pragma GCC unroll 24
      for (int q = 0; q < L + 4; ++q) {
        const Vec v = load(h + q * kC2);
#pragma GCC unroll 5
        for (int j = 0; j < 5; ++j)
          if (q - j >= 0 && q - j < L) acc[q - j] += v * w[j];
      }
    }
  }
  store(out + x, total(acc) + splat(k.b3));
}

// The five h2 rows that conv3 takes for row y, from a ring.
template <class T>
SRFAST_INLINE void conv3_rows(const Tables& t, T* ring, int64_t stride, int64_t y, T** rows) {
  for (int i = 0; i < 5; ++i) {
    const int64_t r = smaller(larger(y + i - kR3, 0), t.h - 1);
    rows[i] = ring + (r % 5) * stride;
  }
}

template <int S>
SRFAST_INLINE void score(const Packed& k, const Tables& t, const Scratch& s, const Plane& p, const Sink& sink,
                         bool network) {
  degrade<S>(t, s, p, sink);
  pad_lr(t, s, s.lr_pad, 0);
  auto bicubic = [&](int64_t y) {
    up_row<S>(k, t, s, y);
    if (sink.wants[kBicubicRow] && y >= t.top && y < t.bottom)
      emit_error(t, s, p, sink, kBicubicRow, y, s.up_ring + (y % 9) * s.up_stride + kR1);
  };
  if (!network) {
    for (int64_t y = t.top; sink.wants[kBicubicRow] && y < t.bottom; ++y) bicubic(y);
    return;
  }
  int64_t feat = larger(t.top - kR3, 0), up = larger(feat - kR1, 0);
  for (int64_t y = t.top; y < t.bottom; ++y) {
    for (; feat <= y + kR3 && feat < t.h; ++feat) {
      for (; up <= feat + kR1 && up < t.h; ++up) bicubic(up);
      features_row<S>(k, t, s, feat);
    }
    float* rows[5];
    conv3_rows(t, s.h2_ring, s.h2_stride, y, rows);
    for (int64_t x = t.left; x < t.right; x += L) conv3_tile(k, rows, x, s.sr);
    emit_error(t, s, p, sink, kLossRow, y, s.sr);
  }
}

SRFAST_INLINE void score_plane(const Packed& k, const Tables& t, const Scratch& s, const Plane& p, const Sink& sink,
                               bool network) {
  if (k.scale == 2)
    score<2>(k, t, s, p, sink, network);
  else if (k.scale == 3)
    score<3>(k, t, s, p, sink, network);
  else
    score<4>(k, t, s, p, sink, network);
}

}  // namespace
}  // namespace SRFAST_ENGINE
}  // namespace srfast
