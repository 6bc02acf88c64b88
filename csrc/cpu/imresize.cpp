#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "core/api.h"
#include "cpu/taps.h"
#include "cpu/threads.h"

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

// Resamples the middle axis of src [outer, in, inner] into dst [outer, t.out, inner].
template <class In, class Out>
void pass(const In* src, int64_t outer, int64_t in, int64_t inner, const Taps& t, Out* dst) {
  std::vector<double> row(static_cast<size_t>(inner));
  for (int64_t o = 0; o < outer; ++o) {
    const In* s = src + o * in * inner;
    for (int64_t i = 0; i < t.out; ++i) {
      const int32_t* index = t.index.data() + i * t.taps;
      const double* weight = t.weight.data() + i * t.taps;
      std::fill(row.begin(), row.end(), 0.0);
      for (int k = 0; k < t.taps; ++k) {
        const double w = weight[k];
        if (w == 0.0) continue;
        const In* line = s + index[k] * inner;
        for (int64_t j = 0; j < inner; ++j) row[j] += w * static_cast<double>(line[j]);
      }
      Out* d = dst + (o * t.out + i) * inner;
      for (int64_t j = 0; j < inner; ++j) d[j] = store<Out>(row[j]);
    }
  }
}

// Rows first: both scales are equal, and on a tie MATLAB takes the first dimension first.
template <class T, class Mid>
void resize(const T* src, int64_t h, int64_t w, int64_t channels, double scale, int boundary, T* dst) {
  const Taps rows = make_taps(h, resized(h, scale), scale, boundary);
  const Taps cols = make_taps(w, resized(w, scale), scale, boundary);
  std::vector<Mid> mid(static_cast<size_t>(rows.out * w * channels));
  pass<T, Mid>(src, 1, h, w * channels, rows, mid.data());
  pass<Mid, T>(mid.data(), rows.out, w, channels, cols, dst);
}

}  // namespace

void imresize_cpu(const void* src, int64_t h, int64_t w, int64_t channels, double scale, int boundary, int dtype,
                  void* dst) {
  switch (dtype) {
    case kUInt8:
      return resize<uint8_t, uint8_t>(static_cast<const uint8_t*>(src), h, w, channels, scale, boundary,
                                      static_cast<uint8_t*>(dst));
    case kFloat32:
      return resize<float, double>(static_cast<const float*>(src), h, w, channels, scale, boundary,
                                   static_cast<float*>(dst));
    default:
      return resize<double, double>(static_cast<const double*>(src), h, w, channels, scale, boundary,
                                    static_cast<double*>(dst));
  }
}

void resample_cpu(const float* src, int64_t planes, int64_t h, int64_t w, double scale, int boundary, int threads,
                  float* dst) {
  const Taps rows = make_taps(h, resized(h, scale), scale, boundary);
  const Taps cols = make_taps(w, resized(w, scale), scale, boundary);
  parallel_ranges(planes, threads, [&](int64_t begin, int64_t end) {
    std::vector<double> mid(static_cast<size_t>(rows.out * w));
    for (int64_t p = begin; p < end; ++p) {
      pass<float, double>(src + p * h * w, 1, h, w, rows, mid.data());
      pass<double, float>(mid.data(), rows.out, w, 1, cols, dst + p * rows.out * cols.out);
    }
  });
}

}  // namespace srfast
