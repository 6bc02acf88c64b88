// Float planes by an integer factor: the exact integer taps of core/filter.h, sums in float64, each in the order of its
// taps, so that a result depends neither on the instruction set nor on the threads.
#include <algorithm>
#include <cstring>
#include <vector>

#include "core/api.h"
#include "core/filter.h"
#include "cpu/clones.h"
#include "cpu/threads.h"

namespace srfast {

namespace {

// Position i of a line of n, border applied; most are inside and need no division.
SRFAST_INLINE int64_t inside(int64_t i, int64_t n, int boundary) {
  return i >= 0 && i < n ? i : border_index(i, n, boundary);
}

constexpr int64_t kLanes = 8;
typedef double Doubles __attribute__((vector_size(kLanes * sizeof(double))));

// Element by element: GCC 12 makes one instruction of it, but four of __builtin_convertvector.
SRFAST_INLINE void widen(const float* x, Doubles& v) { v = Doubles{x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]}; }
SRFAST_INLINE void widen(const float* x, double& v) { v = static_cast<double>(*x); }

SRFAST_INLINE void narrow(const Doubles& v, float* x) {
#pragma GCC unroll 8
  for (int64_t l = 0; l < kLanes; ++l) x[l] = static_cast<float>(v[l]);
}
SRFAST_INLINE void narrow(double v, float* x) { *x = static_cast<float>(v); }

// Down: mid[i][x] = sum_k down(k) rows[S i + k][x] for i < n and the columns x .. of V[N], V a double or Doubles. Each
// input row is read and widened once, for the sums of all output rows that it goes into.
template <int S, class V, int N>
SRFAST_INLINE void strip(const float* const* rows, int64_t n, int64_t x, int64_t stride, double* mid) {
  using F = Filter<S>;
  constexpr int64_t lanes = sizeof(V) / sizeof(double);
  constexpr int64_t ahead = 80;  // floats, five cache lines: rows lie too far apart for the processor's own prefetching
  constexpr int open = (F::kDownTaps + S - 1) / S;
  V sum[open][N] = {};
  for (int64_t i = 1 - open; i < n; ++i, rows += S) {
#pragma GCC unroll 4
    for (int p = 0; p < S; ++p) {
      __builtin_prefetch(rows[p] + x + ahead);
#pragma GCC unroll 2
      for (int v = 0; v < N; ++v) {
        V value;
        widen(rows[p] + x + v * lanes, value);
#pragma GCC unroll 4
        for (int j = 0; j < open; ++j)
          if (S * j + p < F::kDownTaps) sum[j][v] += static_cast<double>(F::down(S * j + p)) * value;
      }
    }
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) {
      if (i >= 0) std::memcpy(mid + i * stride + x + v * lanes, &sum[open - 1][v], sizeof(V));
#pragma GCC unroll 4
      for (int j = open - 1; j > 0; --j) sum[j][v] = sum[j - 1][v];
      sum[0][v] = V{};
    }
  }
}

// A last strip that is not full goes over columns of the one before again.
template <int S>
SRFAST_INLINE void down_columns(const float* const* rows, int64_t n, int64_t w, int64_t stride, double* mid) {
  int64_t x = 0;
  for (; x + 2 * kLanes <= w; x += 2 * kLanes) strip<S, Doubles, 2>(rows, n, x, stride, mid);
  for (; x + kLanes <= w; x += kLanes) strip<S, Doubles, 1>(rows, n, x, stride, mid);
  if (x < w && w >= kLanes) return strip<S, Doubles, 1>(rows, n, w - kLanes, stride, mid);
  for (; x < w; ++x) strip<S, double, 1>(rows, n, x, stride, mid);
}

// out[x ..] = sum_k down(k) line[S x - kReach + k] over the denominators; phases[p][j] is line[S (j - 2) + p].
template <int S, class V>
SRFAST_INLINE void dot(const double* phases, int64_t columns, int64_t x, float* out) {
  using F = Filter<S>;
  constexpr double unit = 1.0 / (static_cast<double>(F::kDownDenominator) * F::kDownDenominator);
  V sum = {};
#pragma GCC unroll 16
  for (int k = 0; k < F::kDownTaps; ++k) {
    const int d = 2 * S - F::kReach + k;
    V value;
    std::memcpy(&value, phases + d % S * columns + d / S + x, sizeof value);
    sum += static_cast<double>(F::down(k)) * value;
  }
  narrow(sum * unit, out + x);
}

// Down: mid [n, S * columns], column 0 standing 2 S before that of the image, to out [n, out_w]. One step for all rows
// after the other: a load soon after the stores that it straddles would wait for them.
template <int S>
SRFAST_INLINE void down_rows(double* __restrict mid, const int64_t* border, int64_t n, int64_t w, int64_t columns,
                             double* __restrict phases, int64_t out_w, float* __restrict out) {
  constexpr int64_t pad = 2 * S;
  const int64_t stride = S * columns;
  for (int64_t i = 0; i < n; ++i) {
    double* const line = mid + i * stride + pad;
    for (int64_t x = -pad; x < 0; ++x) line[x] = line[border[pad + x]];
    for (int64_t x = w; x < stride - pad; ++x) line[x] = line[border[pad + x - w]];
  }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < columns; ++j)
      for (int p = 0; p < S; ++p) phases[i * stride + p * columns + j] = mid[i * stride + S * j + p];
  for (int64_t i = 0; i < n; ++i, phases += stride, out += out_w) {
    int64_t x = 0;
    for (; x + kLanes <= out_w; x += kLanes) dot<S, Doubles>(phases, columns, x, out);
    if (x < out_w && out_w >= kLanes) {
      dot<S, Doubles>(phases, columns, out_w - kLanes, out);
      continue;
    }
    for (; x < out_w; ++x) dot<S, double>(phases, columns, x, out);
  }
}

// Functions of one scale, because a function template is not cloned.
#define SRFAST_DOWN(s)                                                                                              \
  SRFAST_CLONES void down_columns##s(const float* const* rows, int64_t n, int64_t w, int64_t stride, double* mid) { \
    down_columns<s>(rows, n, w, stride, mid);                                                                       \
  }                                                                                                                 \
  SRFAST_CLONES void down_rows##s(double* mid, const int64_t* border, int64_t n, int64_t w, int64_t columns,        \
                                  double* phases, int64_t out_w, float* out) {                                      \
    down_rows<s>(mid, border, n, w, columns, phases, out_w, out);                                                   \
  }
SRFAST_DOWN(2)
SRFAST_DOWN(3)
SRFAST_DOWN(4)
#undef SRFAST_DOWN

// Rows begin..end-1 of the `planes * out_h` rows of the result, a chunk at a time: first along the columns of src into
// `mid`, then along the rows.
template <int S>
void shrink(const float* src, int64_t h, int64_t w, int boundary, int64_t begin, int64_t end, float* dst) {
  using F = Filter<S>;
  constexpr int64_t pad = 2 * S, extra = 3;  // LR rows' worth of HR rows that a chunk reads beyond its own
  constexpr auto columns_pass = S == 2 ? down_columns2 : S == 3 ? down_columns3 : down_columns4;
  constexpr auto rows_pass = S == 2 ? down_rows2 : S == 3 ? down_rows3 : down_rows4;
  const int64_t out_h = (h + S - 1) / S, out_w = (w + S - 1) / S, columns = out_w + 2 * pad / S, stride = S * columns;
  const int64_t chunk = std::clamp<int64_t>(4096 / w, 16, 64);  // 0.5 MiB of mid at most
  std::vector<double> mid(static_cast<size_t>(std::min(chunk, end - begin) * stride)), phases(mid.size());
  std::vector<const float*> rows(static_cast<size_t>(S * (chunk + extra)));
  std::vector<int64_t> border;
  for (int64_t x = -pad; x < 0; ++x) border.push_back(border_index(x, w, boundary));
  for (int64_t x = w; x < stride - pad; ++x) border.push_back(border_index(x, w, boundary));
  for (int64_t r = begin, n; r < end; r += n) {
    const int64_t y = r % out_h;
    n = std::min({chunk, end - r, out_h - y});
    for (int64_t k = 0; k < S * (n + extra); ++k)
      rows[static_cast<size_t>(k)] = src + (r / out_h * h + inside(y * S - F::kReach + k, h, boundary)) * w;
    columns_pass(rows.data(), n, w, stride, mid.data() + pad);
    rows_pass(mid.data(), border.data(), n, w, columns, phases.data(), out_w, dst + r * out_w);
  }
}

// Up: out[x] = sum_k weights[k] rows[k][x], times `unit` where the result is a float.
constexpr int kUpTaps = 4;

template <class T>
SRFAST_INLINE double sum_at(const T* const* rows, const double* weights, int64_t x) {
  double sum = 0;
#pragma GCC unroll 4
  for (int k = 0; k < kUpTaps; ++k) sum += weights[k] * static_cast<double>(rows[k][x]);
  return sum;
}

SRFAST_CLONES void combine(const float* const* rows, const double* weights, int64_t n, double* __restrict out) {
  for (int64_t x = 0; x < n; ++x) out[x] = sum_at(rows, weights, x);
}
SRFAST_CLONES void combine(const double* const* rows, const double* weights, int64_t n, double unit,
                           float* __restrict out) {
  for (int64_t x = 0; x < n; ++x) out[x] = static_cast<float>(sum_at(rows, weights, x) * unit);
}

// [S, n] -> [n, S]
#define SRFAST_LACE(s)                                                                       \
  SRFAST_CLONES void lace##s(const float* __restrict in, int64_t n, float* __restrict out) { \
    for (int64_t j = 0; j < n; ++j)                                                          \
      for (int p = 0; p < s; ++p) out[s * j + p] = in[p * n + j];                            \
  }
SRFAST_LACE(2)
SRFAST_LACE(3)
SRFAST_LACE(4)
#undef SRFAST_LACE

// Rows begin..end-1 of the `planes * S h` rows of the result, each by itself.
template <int S>
void grow(const float* src, int64_t h, int64_t w, int boundary, int64_t begin, int64_t end, float* dst) {
  using F = Filter<S>;
  constexpr int pad = 2;
  constexpr double unit = 1.0 / (static_cast<double>(F::kUpDenominator) * F::kUpDenominator);
  double weights[S][kUpTaps];
  int first[S];
  for (int p = 0; p < S; ++p) {
    first[p] = F::first_up(p);
    for (int k = 0; k < kUpTaps; ++k) weights[p][k] = F::up(p, first[p] + k);
  }
  std::vector<double> line(static_cast<size_t>(w + 2 * pad));
  std::vector<float> phases(static_cast<size_t>(S * w));
  double* const mid = line.data() + pad;
  const int64_t outside[2 * pad] = {-2, -1, w, w + 1};
  int64_t border[2 * pad];
  for (int k = 0; k < 2 * pad; ++k) border[k] = border_index(outside[k], w, boundary);
  for (int64_t r = begin; r < end; ++r) {
    const int64_t y = r % (S * h);
    const int p = static_cast<int>(y % S);
    const float* const plane = src + r / (S * h) * h * w;
    const float* rows[kUpTaps];
    for (int k = 0; k < kUpTaps; ++k) rows[k] = plane + inside(y / S - 2 + first[p] + k, h, boundary) * w;
    combine(rows, weights[p], w, mid);
    for (int k = 0; k < 2 * pad; ++k) mid[outside[k]] = mid[border[k]];
    for (int q = 0; q < S; ++q) {
      const double* columns[kUpTaps];
      for (int k = 0; k < kUpTaps; ++k) columns[k] = line.data() + first[q] + k;
      combine(columns, weights[q], w, unit, phases.data() + q * w);
    }
    (S == 2 ? lace2 : S == 3 ? lace3 : lace4)(phases.data(), w, dst + r * S * w);
  }
}

}  // namespace

void resample_cpu(const Planes& src, int scale, bool up, int boundary, int threads, float* dst) {
  const auto run = up ? (scale == 2   ? grow<2>
                         : scale == 3 ? grow<3>
                                      : grow<4>)
                      : (scale == 2   ? shrink<2>
                         : scale == 3 ? shrink<3>
                                      : shrink<4>);
  const int64_t rows = src.n * (up ? scale * src.h : (src.h + scale - 1) / scale);
  const int64_t work = 4 * rows * src.w * (1 + scale);
  parallel_ranges(rows, worth(threads, work, 1 << 20),
                  [&](int64_t begin, int64_t end) { run(src.values, src.h, src.w, boundary, begin, end, dst); });
}

}  // namespace srfast
