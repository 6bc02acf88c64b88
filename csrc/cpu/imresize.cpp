#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "core/api.h"
#include "cpu/clones.h"
#include "cpu/taps.h"

namespace srfast {

int64_t resized(int64_t n, double scale) { return static_cast<int64_t>(std::ceil(scale * static_cast<double>(n))); }

namespace {

// uint8: half up. The exact sums are multiples of at least 2^-14 or 1/162 apart from a tie; 1e-9 absorbs the float64
// rounding of thirds, so that ties go up as the exact rational does.
template <class T>
T store(double v) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return static_cast<uint8_t>(std::clamp(std::floor(v + 0.5 + 1e-9), 0.0, 255.0));
  } else {
    return static_cast<T>(v);
  }
}

// acc[j] += w * line[j]: the loop that takes the time, compiled for each instruction set.
SRFAST_CLONES void accumulate(double* __restrict acc, double w, const uint8_t* __restrict line, int64_t n) {
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

// Rows first: both scales are equal, and on a tie MATLAB takes the first dimension first. The image is turned over in
// between, so that both passes run along memory.
template <class T, class Mid>
void resize(const void* src, int64_t h, int64_t w, int64_t channels, double scale, int boundary, void* dst) {
  const Taps rows = make_taps(h, resized(h, scale), scale, boundary);
  const Taps cols = make_taps(w, resized(w, scale), scale, boundary);
  std::vector<Mid> mid(static_cast<size_t>(rows.out * w * channels)), turned(mid.size());
  std::vector<T> out(static_cast<size_t>(cols.out * channels * rows.out));
  pass(static_cast<const T*>(src), w * channels, rows, mid.data());
  transpose(mid.data(), rows.out, w * channels, turned.data());  // [w, channels, rows]
  pass(turned.data(), channels * rows.out, cols, out.data());
  transpose(out.data(), cols.out * channels, rows.out, static_cast<T*>(dst));
}

}  // namespace

void imresize_cpu(const void* src, int64_t h, int64_t w, int64_t channels, double scale, int boundary, int dtype,
                  void* dst) {
  switch (dtype) {
    case kUInt8:
      return resize<uint8_t, uint8_t>(src, h, w, channels, scale, boundary, dst);
    case kFloat32:
      return resize<float, double>(src, h, w, channels, scale, boundary, dst);
    default:
      return resize<double, double>(src, h, w, channels, scale, boundary, dst);
  }
}

}  // namespace srfast
