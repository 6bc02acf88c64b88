// imresize of any factor: exact sums in float64. Sums of bytes are taken in float32 first, and again where that is in
// doubt, so that the result is that of the exact ones.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <vector>

#include "core/api.h"
#include "core/bicubic.h"
#include "cpu/clones.h"

namespace srfast {

int64_t resized(int64_t n, double scale) { return static_cast<int64_t>(std::ceil(scale * static_cast<double>(n))); }

namespace {

// The sparse rows of one resampling pass: out[i] = sum_k weight[i * taps + k] * in[index[i * taps + k]].
struct Taps {
  int64_t out = 0;
  int taps = 0;
  std::vector<int32_t> index;  // [out, taps], border already applied
  std::vector<double> weight;  // [out, taps], rows sum to 1
};

// MATLAB's `contributions`: 1-based centre u = x / scale + (1 - 1 / scale) / 2, leftmost tap floor(u - width / 2).
Taps make_taps(int64_t in, int64_t out, double scale, int boundary) {
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

// uint8 and uint16: half up. The exact sums are multiples of at least 2^-14 or 1/162 apart from a tie; 1e-9 absorbs the
// float64 rounding of thirds, so that ties go up as the exact rational does. Other factors have ties as well: at 3/4
// the sums are multiples of 1 / 624,234 and 0.3 % of an image's pixels are exact ties, of which plain float64 sums take
// some down and numpy.round half. MATLAB's images at 1/2 and 1/4, where float64 is exact and 0.6 % and 0.05 % are ties,
// take all up.
template <class T>
T store(double v) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return static_cast<uint8_t>(std::clamp(std::floor(v + 0.5 + 1e-9), 0.0, 255.0));
  } else if constexpr (std::is_same_v<T, uint16_t>) {
    return static_cast<uint16_t>(std::clamp(std::floor(v + 0.5 + 1e-9), 0.0, 65535.0));
  } else {
    return static_cast<T>(v);
  }
}

// acc[j] += w * line[j]: the loop that takes the time, compiled for each instruction set.
SRFAST_CLONES void accumulate(double* __restrict acc, double w, const uint8_t* __restrict line, int64_t n) {
  for (int64_t j = 0; j < n; ++j) acc[j] += w * static_cast<double>(line[j]);
}
SRFAST_CLONES void accumulate(double* __restrict acc, double w, const uint16_t* __restrict line, int64_t n) {
  for (int64_t j = 0; j < n; ++j) acc[j] += w * static_cast<double>(line[j]);
}
SRFAST_CLONES void accumulate(double* __restrict acc, double w, const float* __restrict line, int64_t n) {
  for (int64_t j = 0; j < n; ++j) acc[j] += w * static_cast<double>(line[j]);
}
SRFAST_CLONES void accumulate(double* __restrict acc, double w, const double* __restrict line, int64_t n) {
  for (int64_t j = 0; j < n; ++j) acc[j] += w * line[j];
}

constexpr int64_t kChunk = 512;  // accumulators: they stay in the first-level cache

// Resamples the first axis of src [in, inner] into dst [t.out, inner].
template <class In, class Out>
void pass(const In* src, int64_t inner, const Taps& t, Out* dst) {
  double acc[kChunk];
  for (int64_t i = 0; i < t.out; ++i) {
    const int32_t* index = t.index.data() + i * t.taps;
    const double* weight = t.weight.data() + i * t.taps;
    for (int64_t first = 0; first < inner; first += kChunk) {
      const int64_t n = std::min(kChunk, inner - first);
      std::fill(acc, acc + n, 0.0);
      for (int k = 0; k < t.taps; ++k)
        if (weight[k] != 0.0) accumulate(acc, weight[k], src + index[k] * inner + first, n);
      Out* d = dst + i * inner + first;
      for (int64_t j = 0; j < n; ++j) d[j] = store<Out>(acc[j]);
    }
  }
}

// src [rows, cols] -> dst [cols, rows], in blocks that fit a few cache lines.
template <class T>
void transpose(const T* src, int64_t rows, int64_t cols, T* dst) {
  constexpr int64_t block = 16;
  for (int64_t r0 = 0; r0 < rows; r0 += block)
    for (int64_t c0 = 0; c0 < cols; c0 += block)
      for (int64_t r = r0; r < std::min(rows, r0 + block); ++r)
        for (int64_t c = c0; c < std::min(cols, c0 + block); ++c) dst[c * rows + r] = src[r * cols + c];
}

constexpr int64_t kSide = 16;
typedef uint8_t Sixteen __attribute__((vector_size(kSide)));
typedef int32_t Ints __attribute__((vector_size(32)));
typedef float Floats __attribute__((vector_size(32)));

// Bytes 0 to 7, or 8 to 15, of a and b in turn.
#define SRFAST_LACED(a, b, i)                                                                                         \
  __builtin_shufflevector(a, b, i, 16 + i, i + 1, 17 + i, i + 2, 18 + i, i + 3, 19 + i, i + 4, 20 + i, i + 5, 21 + i, \
                          i + 6, 22 + i, i + 7, 23 + i)

// 16 rows of 16 bytes become columns: four times, line i is laced with line i + 8.
void transpose_square(const uint8_t* src, int64_t stride, uint8_t* dst, int64_t across) {
  Sixteen a[kSide], b[kSide];
  for (int64_t i = 0; i < kSide; ++i) std::memcpy(&a[i], src + i * stride, kSide);
#pragma GCC unroll 4
  for (int step = 0; step < 4; ++step) {
    for (int64_t i = 0; i < kSide / 2; ++i) {
      b[2 * i] = SRFAST_LACED(a[i], a[i + kSide / 2], 0);
      b[2 * i + 1] = SRFAST_LACED(a[i], a[i + kSide / 2], 8);
    }
    std::copy_n(b, kSide, a);
  }
  for (int64_t i = 0; i < kSide; ++i) std::memcpy(dst + i * across, &a[i], kSide);
}
#undef SRFAST_LACED

// The same of bytes, in squares of 16, and one by one at the right and the bottom.
void transpose(const uint8_t* src, int64_t rows, int64_t cols, uint8_t* dst) {
  const int64_t squares = rows / kSide * kSide, wide = cols / kSide * kSide;
  for (int64_t r = 0; r < squares; r += kSide)
    for (int64_t c = 0; c < wide; c += kSide) transpose_square(src + r * cols + c, cols, dst + c * rows + r, rows);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < squares ? wide : 0; c < cols; ++c) dst[c * rows + r] = src[r * cols + c];
}

constexpr int64_t kWide = 32;  // columns whose sums lie in registers

SRFAST_CLONES void widen(const uint8_t* __restrict line, int64_t n, float* __restrict out) {
  for (int64_t j = 0; j < n; ++j) out[j] = static_cast<float>(line[j]);
}

// Bytes of out[j] = sum_k weight[k] lines[k][j], clamped and rounded half up, for n columns, a multiple of kWide.
// doubtful[b] says whether a sum of block b is as near to a tie as `doubt`. GCC 12 narrows vectors element by element,
// but not loops.
SRFAST_CLONES void sums(const float* const* lines, const float* weight, int taps, float doubt, int64_t n,
                        uint8_t* __restrict out, uint8_t* __restrict doubtful) {
  constexpr int parts = kWide * sizeof(float) / sizeof(Floats);
  const Floats zero = {}, most = zero + 255.0f;
  for (int64_t j = 0; j < n; j += kWide) {
    Floats sum[parts] = {};
    for (int k = 0; k < taps; ++k) {
      Floats v[parts];
      std::memcpy(v, lines[k] + j, sizeof v);
#pragma GCC unroll 4
      for (int p = 0; p < parts; ++p) sum[p] += weight[k] * v[p];
    }
    Ints whole[parts], near = {};
#pragma GCC unroll 4
    for (int p = 0; p < parts; ++p) {
      Floats v = sum[p] > zero ? sum[p] : zero;
      v = (v < most ? v : most) + 0.5f;
      whole[p] = __builtin_convertvector(v, Ints);
      const Floats rest = v - __builtin_convertvector(whole[p], Floats);
      near |= (rest < doubt) | (rest > 1.0f - doubt);
    }
    int32_t bytes[kWide];
    std::memcpy(bytes, whole, sizeof bytes);
    for (int64_t l = 0; l < kWide; ++l) out[j + l] = static_cast<uint8_t>(bytes[l]);
    uint64_t any[sizeof near / sizeof(uint64_t)];
    std::memcpy(any, &near, sizeof near);
    doubtful[j / kWide] = (any[0] | any[1] | any[2] | any[3]) != 0;
  }
}

// As `pass`. Of a sum in float32 the weights, the products and each addition are rounded, by 2^-24 of at most 320 (the
// absolute weights sum up to less than 1.25): it is off by less than 320 (taps + 4) 2^-24. Only nearer than that to a
// tie can it be rounded to another byte than the exact sum, and then that is taken.
void pass(const uint8_t* src, int64_t inner, const Taps& t, uint8_t* dst) {
  constexpr int most = 64;  // taps: beyond them too many sums would be in doubt
  const int64_t wide = t.taps <= most ? inner / kWide * kWide : 0;
  // The lines that the sums of one line of the result need, as float: slot i % t.taps holds line i.
  std::vector<float> ring(static_cast<size_t>(wide ? t.taps * wide : 0));
  std::vector<uint8_t> doubtful(static_cast<size_t>(wide / kWide));
  int64_t held[most];
  std::fill(held, held + most, -1);
  const float* lines[most];
  float weights[most];
  double acc[kChunk];
  for (int64_t i = 0; i < t.out; ++i) {
    const int32_t* index = t.index.data() + i * t.taps;
    const double* weight = t.weight.data() + i * t.taps;
    uint8_t* const d = dst + i * inner;
    const auto exactly = [&](int64_t first, int64_t n) {
      std::fill(acc, acc + n, 0.0);
      for (int k = 0; k < t.taps; ++k)
        if (weight[k] != 0.0) accumulate(acc, weight[k], src + index[k] * inner + first, n);
      for (int64_t j = 0; j < n; ++j) d[first + j] = store<uint8_t>(acc[j]);
    };
    if (wide) {
      int taps = 0;
      for (int k = 0; k < t.taps; ++k) {
        if (weight[k] == 0.0) continue;
        const int64_t slot = index[k] % t.taps;
        float* const line = ring.data() + slot * wide;
        if (held[slot] != index[k]) widen(src + index[k] * inner, wide, line);
        held[slot] = index[k];
        lines[taps] = line;
        weights[taps++] = static_cast<float>(weight[k]);
      }
      sums(lines, weights, taps, 320.0f * static_cast<float>(taps + 4) / (1 << 24), wide, d, doubtful.data());
      for (int64_t b = 0; b < wide / kWide; ++b)
        if (doubtful[static_cast<size_t>(b)]) exactly(b * kWide, kWide);
    }
    for (int64_t first = wide; first < inner; first += kChunk) exactly(first, std::min(kChunk, inner - first));
  }
}

// Rows first: both scales are equal, and on a tie MATLAB takes the first dimension first. So many rows of the result at
// a time are turned over in between that they stay in the cache and both passes run along memory.
template <class T, class Mid>
void resize(const void* src, int64_t h, int64_t w, int64_t channels, double scale, int boundary, void* dst) {
  constexpr int64_t many = 2 * kSide;
  const Taps rows = make_taps(h, resized(h, scale), scale, boundary);
  const Taps cols = make_taps(w, resized(w, scale), scale, boundary);
  const int64_t wide = w * channels, out_wide = cols.out * channels;
  std::vector<Mid> mid(static_cast<size_t>(rows.out * wide)), turned(static_cast<size_t>(many * wide));
  std::vector<T> out(static_cast<size_t>(many * out_wide));
  pass(static_cast<const T*>(src), wide, rows, mid.data());
  for (int64_t y = 0; y < rows.out; y += many) {
    const int64_t n = std::min(many, rows.out - y);
    transpose(mid.data() + y * wide, n, wide, turned.data());  // [w, channels, n]
    pass(turned.data(), channels * n, cols, out.data());
    transpose(out.data(), out_wide, n, static_cast<T*>(dst) + y * out_wide);
  }
}

}  // namespace

void imresize_cpu(const void* src, int64_t h, int64_t w, int64_t channels, double scale, int boundary, int dtype,
                  void* dst) {
  switch (dtype) {
    case kUInt8:
      return resize<uint8_t, uint8_t>(src, h, w, channels, scale, boundary, dst);
    case kUInt16:
      return resize<uint16_t, uint16_t>(src, h, w, channels, scale, boundary, dst);
    case kFloat32:
      return resize<float, double>(src, h, w, channels, scale, boundary, dst);
    default:
      return resize<double, double>(src, h, w, channels, scale, boundary, dst);
  }
}

}  // namespace srfast
