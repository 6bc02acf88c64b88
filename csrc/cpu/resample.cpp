// Float planes by an integer factor: the exact integer taps of core/filter.h, sums in float64, one row at a time.
#include <algorithm>
#include <vector>

#include "core/api.h"
#include "core/filter.h"
#include "cpu/clones.h"
#include "cpu/threads.h"

namespace srfast {

namespace {

// out[x] = sum_k weights[k] * rows[k][x], times `unit` where the result is a float.
template <int Taps, class In>
inline __attribute__((always_inline)) double sum_at(const In* const* rows, const double* weights, int64_t x) {
  double sum = 0;
#pragma GCC unroll 16
  for (int k = 0; k < Taps; ++k) sum += weights[k] * static_cast<double>(rows[k][x]);
  return sum;
}

// Functions of one number of taps, because a function template is not cloned.
#define SRFAST_COMBINE(taps)                                                                                 \
  SRFAST_CLONES void combine##taps(const float* const* rows, const double* weights, int64_t n,               \
                                   double* __restrict out) {                                                 \
    for (int64_t x = 0; x < n; ++x) out[x] = sum_at<taps>(rows, weights, x);                                 \
  }                                                                                                          \
  SRFAST_CLONES void combine##taps(const double* const* rows, const double* weights, int64_t n, double unit, \
                                   float* __restrict out) {                                                  \
    for (int64_t x = 0; x < n; ++x) out[x] = static_cast<float>(sum_at<taps>(rows, weights, x) * unit);      \
  }
SRFAST_COMBINE(4)
SRFAST_COMBINE(8)
SRFAST_COMBINE(11)
SRFAST_COMBINE(16)
#undef SRFAST_COMBINE

template <int Taps, class... Rest>
void combine(Rest... rest) {
  if constexpr (Taps == 4)
    combine4(rest...);
  else if constexpr (Taps == 8)
    combine8(rest...);
  else if constexpr (Taps == 11)
    combine11(rest...);
  else
    combine16(rest...);
}

// [n, S] <-> [S, n], rows of the latter `stride` apart.
#define SRFAST_LACE(s)                                                                                           \
  SRFAST_CLONES void unlace##s(const double* __restrict in, int64_t n, int64_t stride, double* __restrict out) { \
    for (int64_t j = 0; j < n; ++j)                                                                              \
      for (int p = 0; p < s; ++p) out[p * stride + j] = in[s * j + p];                                           \
  }                                                                                                              \
  SRFAST_CLONES void lace##s(const float* __restrict in, int64_t n, int64_t stride, float* __restrict out) {     \
    for (int64_t j = 0; j < n; ++j)                                                                              \
      for (int p = 0; p < s; ++p) out[s * j + p] = in[p * stride + j];                                           \
  }
SRFAST_LACE(2)
SRFAST_LACE(3)
SRFAST_LACE(4)
#undef SRFAST_LACE

template <int S>
void unlace(const double* in, int64_t n, int64_t stride, double* out) {
  S == 2 ? unlace2(in, n, stride, out) : S == 3 ? unlace3(in, n, stride, out) : unlace4(in, n, stride, out);
}

template <int S>
void lace(const float* in, int64_t n, int64_t stride, float* out) {
  S == 2 ? lace2(in, n, stride, out) : S == 3 ? lace3(in, n, stride, out) : lace4(in, n, stride, out);
}

// Rows begin..end-1 of the `planes * out_h` rows of the result, each by itself: first along the columns of src into
// `mid`, then along the row.
template <int S>
void shrink(const float* src, int64_t h, int64_t w, int boundary, int64_t begin, int64_t end, float* dst) {
  using F = Filter<S>;
  constexpr int taps = F::kDownTaps, pad = 2 * S;
  constexpr double unit = 1.0 / (static_cast<double>(F::kDownDenominator) * F::kDownDenominator);
  const int64_t out_h = (h + S - 1) / S, out_w = (w + S - 1) / S, n = out_w + 2 * pad / S;
  double weights[taps];
  for (int k = 0; k < taps; ++k) weights[k] = F::down(k);
  std::vector<double> line(static_cast<size_t>(S * n)), phases(line.size());
  double* const mid = line.data() + pad;
  const double* columns[taps];
  for (int k = 0; k < taps; ++k) {
    const int64_t d = pad - F::kReach + k;
    columns[k] = phases.data() + d % S * n + d / S;
  }
  for (int64_t r = begin; r < end; ++r) {
    const float* const plane = src + r / out_h * h * w;
    const float* rows[taps];
    for (int k = 0; k < taps; ++k) rows[k] = plane + border_index(r % out_h * S - F::kReach + k, h, boundary) * w;
    combine<taps>(rows, weights, w, mid);
    for (int64_t x = -pad; x < 0; ++x) mid[x] = mid[border_index(x, w, boundary)];
    for (int64_t x = w; x < S * n - pad; ++x) mid[x] = mid[border_index(x, w, boundary)];
    unlace<S>(line.data(), n, n, phases.data());
    combine<taps>(static_cast<const double* const*>(columns), weights, out_w, unit, dst + r * out_w);
  }
}

template <int S>
void grow(const float* src, int64_t h, int64_t w, int boundary, int64_t begin, int64_t end, float* dst) {
  using F = Filter<S>;
  constexpr int taps = 4, pad = 2;
  constexpr double unit = 1.0 / (static_cast<double>(F::kUpDenominator) * F::kUpDenominator);
  double weights[S][taps];
  int first[S];  // of the five taps of a phase one at an end, or both, are zero
  for (int p = 0; p < S; ++p) {
    first[p] = F::up(p, 0) == 0 ? 1 : 0;
    for (int k = 0; k < taps; ++k) weights[p][k] = F::up(p, first[p] + k);
  }
  std::vector<double> line(static_cast<size_t>(w + 2 * pad));
  std::vector<float> phases(static_cast<size_t>(S * w));
  double* const mid = line.data() + pad;
  for (int64_t r = begin; r < end; ++r) {
    const int64_t y = r % (S * h);
    const int p = static_cast<int>(y % S);
    const float* const plane = src + r / (S * h) * h * w;
    const float* rows[taps];
    for (int k = 0; k < taps; ++k) rows[k] = plane + border_index(y / S - 2 + first[p] + k, h, boundary) * w;
    combine<taps>(rows, weights[p], w, mid);
    for (int64_t x : {int64_t{-2}, int64_t{-1}, w, w + 1}) mid[x] = mid[border_index(x, w, boundary)];
    for (int q = 0; q < S; ++q) {
      const double* columns[taps];
      for (int k = 0; k < taps; ++k) columns[k] = line.data() + first[q] + k;
      combine<taps>(static_cast<const double* const*>(columns), weights[q], w, unit, phases.data() + q * w);
    }
    lace<S>(phases.data(), w, w, dst + r * S * w);
  }
}

}  // namespace

void resample_cpu(const float* src, int64_t planes, int64_t h, int64_t w, int scale, bool up, int boundary, int threads,
                  float* dst) {
  const auto run = up ? (scale == 2   ? grow<2>
                         : scale == 3 ? grow<3>
                                      : grow<4>)
                      : (scale == 2   ? shrink<2>
                         : scale == 3 ? shrink<3>
                                      : shrink<4>);
  parallel_ranges(planes * (up ? scale * h : (h + scale - 1) / scale), threads,
                  [&](int64_t begin, int64_t end) { run(src, h, w, boundary, begin, end, dst); });
}

}  // namespace srfast
