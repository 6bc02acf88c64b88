// The scoring engine, compiled once per instruction set. The including file defines SRFAST_ENGINE (a namespace name)
// and SRFAST_LANES (floats in a vector). Everything here is static or forced inline, and no library template is
// instantiated: the linker must never take a function compiled for one machine and call it on another.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cpu/engine_types.h"
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
// NaN stays: a network that overflows must not come out finite.
SRFAST_INLINE Vec relu(Vec v) { return v < 0.0f ? Vec{} : v; }

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

// Conv3's padding of a row of features: the first and the last pixel twice more.
template <class T>
SRFAST_INLINE void replicate_edges(T* h2, int64_t w) {
  for (int x = 0; x < kR3; ++x) {
    std::memcpy(h2 - (kR3 - x) * kC2, h2, kC2 * sizeof(T));
    std::memcpy(h2 + (w + x) * kC2, h2 + (w - 1) * kC2, kC2 * sizeof(T));
  }
}

// The h2 row of HR row y of a plane of fewer than eight rows or columns, from up-sampled rows: 81 taps on the HR grid.
SRFAST_INLINE void features_direct(const Packed& k, const Tables& t, const Scratch& s, int64_t y) {
  float* h2 = s.h2_ring + (y % 5) * s.h2_stride + kR3 * kC2;
  int n = 9;
  __asm__("" : "+r"(n));  // as in features_row
  const float* rows[9];
  for (int i = 0; i < n; ++i) rows[i] = s.up_ring + smaller(larger(y + i - kR1, 0), t.h - 1) % 9 * s.up_stride;
  for (int64_t x = 0; x < t.w; x += 4) tile<4>(k, rows, n, n, x, k.w1, s.h1, h2 + x * kC2, kC2);
  replicate_edges(h2, t.w);
}

SRFAST_INLINE int class_of(int s, int64_t position, int64_t n) {
  if (position < kR1) return s + static_cast<int>(position);
  if (position >= n - kR1) return s + kR1 + static_cast<int>(position - (n - kR1));
  return static_cast<int>(position % s);
}

// The LR pixel from which the offsets of a class count; those at the end count from the last one:
// floor((position - n) / s) + n / s.
SRFAST_INLINE int64_t base_of(int cls, int s, int64_t position, int64_t n) {
  return cls < s + kR1 ? position / s : n / s - (n - position + s - 1) / s;
}

// body(px, first LR column, one past the last) for the pixels of each phase that are not in the border of four columns
// and that the sink's columns depend on.
template <int S, class F>
SRFAST_INLINE void inside_columns(const Tables& t, F&& body) {
  const int64_t begin = larger(t.left - kR3, 0), end = smaller(t.right + kR3, t.w);
  for (int px = 0; px < S; ++px)
    body(px, larger((kR1 - px + S - 1) / S, begin / S), smaller((t.w - kR1 - px + S - 1) / S, (end + S - 1) / S));
}

// body(side, first column) for each border of four columns that the sink's columns depend on.
template <class F>
SRFAST_INLINE void border_columns(const Tables& t, F&& body) {
  if (t.left - kR3 < kR1) body(0, 0);
  if (t.right + kR3 > t.w - kR1) body(1, t.w - kR1);
}

// The h2 row of HR row y, at the columns that the sink's take part in: conv1 and the up-sampler are one filter, that of
// the row's class and the column's phase; in the border of four columns that of the row's class, on columns that are
// up-sampled and replicated already.
template <int S>
SRFAST_INLINE void features_row(const Packed& k, const Tables& t, const Scratch& s, int64_t y) {
  float* h2 = s.h2_ring + (y % 5) * s.h2_stride + kR3 * kC2;
  const int cy = class_of(S, y, t.h);
  // Opaque to the compiler: unrolled, the AVX2 tile spills.
  int n = k.fold_taps, nine = 9;
  __asm__("" : "+r"(n), "+r"(nine));
  const int64_t first = base_of(cy, S, y, t.h) + k.fold_first[cy] + kUpPad;
  const float* rows[8];
  for (int i = 0; i < n; ++i) rows[i] = s.lr_pad + (first + i) * s.lr_stride + kUpPad;
  inside_columns<S>(t, [&](int px, int64_t k0, int64_t k1) __attribute__((always_inline)) {
    const float* w = k.fold + static_cast<int64_t>(cy * S + px) * n * n * kC1;
    float* out = h2 + px * kC2;
    span(k0, k1, [&](int64_t x, bool six) __attribute__((always_inline)) {
      if (six)
        tile<kPx>(k, rows, n, n, x + k.fold_first[px], w, s.h1, out + x * S * kC2, S * kC2);
      else
        tile<4>(k, rows, n, n, x + k.fold_first[px], w, s.h1, out + x * S * kC2, S * kC2);
    });
  });
  border_columns(t, [&](int side, int64_t x) __attribute__((always_inline)) {
    for (int i = 0; i < n; ++i) rows[i] = s.edges + ((first + i) * 2 + side) * kEdge;
    tile<4>(k, rows, n, nine, 0, k.half + static_cast<int64_t>(cy) * n * 9 * kC1, s.h1, h2 + x * kC2, kC2);
  });
  replicate_edges(h2, t.w);
}

// Sums of neighbouring lanes of a, then of b.
template <class V>
SRFAST_INLINE V pair_sums(V a, V b) {
#if SRFAST_LANES == 16
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
         __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#elif SRFAST_LANES == 8
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) +
         __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#else
  return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
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

// Pixels of a tile of conv3: so many sums that none waits for the one before it. They, the five weights of a row and
// the features are 22 of the 32 vector registers of AVX-512 and AArch64, or 14 of the 16 of AVX2 and SSE.
#if defined(__aarch64__)
constexpr int kPx3 = 16;
#else
constexpr int kPx3 = L == 16 ? 16 : 8;
#endif

// The sums of conv3 at columns x .. x + kPx3 - 1: lanes are channels until they are added up. add(sums, a, b) adds the
// products of two vectors of T.
template <class V, class T, class Add>
SRFAST_INLINE void conv3_sums(const T* const* rows, const T* w3, int64_t x, V (&acc)[kPx3 / L][L], Add&& add) {
  constexpr int step = sizeof(V) / sizeof(T);
  for (int p = 0; p < kPx3; ++p) acc[p / L][p % L] = V{};
  for (int i = 0; i < 5; ++i) {
    for (int c = 0; c < kC2; c += step) {
      const T* h = rows[i] + x * kC2 + c;
      V w[5];
      for (int j = 0; j < 5; ++j) std::memcpy(&w[j], w3 + (i * 5 + j) * kC2 + c, sizeof(V));
#pragma GCC unroll 20
      for (int q = 0; q < kPx3 + 4; ++q) {
        V v;
        std::memcpy(&v, h + q * kC2, sizeof(V));
#pragma GCC unroll 5
        for (int j = 0; j < 5; ++j)
          if (q - j >= 0 && q - j < kPx3) add(acc[(q - j) / L][(q - j) % L], v, w[j]);
      }
    }
  }
  for (auto& group : acc) total(group);
}

SRFAST_INLINE void conv3_tile(const Packed& k, const float* const* rows, int64_t x, float* out) {
  Vec acc[kPx3 / L][L];
  conv3_sums(rows, k.w3, x, acc, [](Vec& sums, Vec a, Vec b) __attribute__((always_inline)) { sums += a * b; });
  for (int g = 0; g < kPx3 / L; ++g) store(out + x + g * L, acc[g][0] + splat(k.b3));
}

// The rows of the loss: features(y) fills row y % 5 of a ring [5, stride] of features, conv3(rows, x) columns x ..
// x + kPx3 - 1 of s.sr from the five rows around one.
template <class T, class Features, class Conv3>
SRFAST_INLINE void loss_rows(const Tables& t, const Scratch& s, const Sink& sink, T* ring, Features&& features,
                             Conv3&& conv3) {
  int64_t have = larger(t.top - kR3, 0);
  for (int64_t y = t.top; y < t.bottom; ++y) {
    for (; have <= y + kR3 && have < t.h; ++have) features(have);
    const T* rows[5];
    for (int i = 0; i < 5; ++i) rows[i] = ring + smaller(larger(y + i - kR3, 0), t.h - 1) % 5 * s.h2_stride;
    for (int64_t x = t.left; x < t.right; x += kPx3) conv3(rows, x);
    emit_error(t, s, sink, kLossRow, y, s.sr);
  }
}

// Whether a row or a column may be clamped on both sides, which no folded filter is.
SRFAST_INLINE bool tiny(const Tables& t) { return t.h < 2 * kR1 || t.w < 2 * kR1; }

template <int S>
SRFAST_INLINE void score(const Packed& k, const Tables& t, const Scratch& s, const Image& p, const Sink& sink,
                         bool network) {
  degrade<S>(t, s, p, sink);
  pad_lr(t, s, s.lr_pad, 0);
  bicubic_rows<S>(k, t, s, sink);
  if (!network) return;
  const bool direct = tiny(t);
  if (!direct) up_edges<S>(k, t, s);
  int64_t up = 0;
  loss_rows(
      t, s, sink, s.h2_ring,
      [&](int64_t y) __attribute__((always_inline)) {
        if (!direct) return features_row<S>(k, t, s, y);
        for (; up <= y + kR1 && up < t.h; ++up) up_row<S>(k, t, s, up);
        features_direct(k, t, s, y);
      },
      [&](const float* const* rows, int64_t x) __attribute__((always_inline)) { conv3_tile(k, rows, x, s.sr); });
}

SRFAST_INLINE void score_plane(const Packed& k, const Tables& t, const Scratch& s, const Image& p, const Sink& sink,
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

#define SRFAST_EXPORT_ENGINE(NAME)                                                                    \
  void srfast::score_plane_##NAME(const Packed& k, const Tables& t, const Scratch& s, const Image& p, \
                                  const Sink& sink, bool network) {                                   \
    engine_##NAME::score_plane(k, t, s, p, sink, network);                                            \
  }
