// Weights of filters and tables of random values, in float64 operation by operation.
#include "cpu/degrade_taps.h"

#include <algorithm>
#include <cmath>

#include "core/api.h"
#include "cpu/degrade_math.h"

namespace srfast {

namespace {

// The cubic of Keys (1981) with parameter a, and the triangle; x >= 0.
double cubic_of(double x, double a) {
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return ((x - 5.0) * x + 8.0) * x * a - 4.0 * a;
  return 0.0;
}

double triangle(double x) { return x < 1.0 ? 1.0 - x : 0.0; }

void add_row(ResizeTaps& t, const std::vector<int32_t>& index, const std::vector<double>& weight) {
  double sum = 0;
  for (const double v : weight) sum += v;
  for (size_t k = 0; k < index.size(); ++k) {
    t.index.push_back(index[k]);
    t.weight.push_back(static_cast<float>(weight[k] / sum));
  }
  t.most = std::max(t.most, static_cast<int>(index.size()));
  t.first.push_back(static_cast<int64_t>(t.index.size()));
}

}  // namespace

ResizeTaps resize_taps(int64_t in, int64_t out, double step, int filter, bool antialias) {
  ResizeTaps t;
  t.first.push_back(0);
  std::vector<int32_t> index;
  std::vector<double> weight;
  const auto clamped = [&](int64_t i) { return static_cast<int32_t>(std::clamp<int64_t>(i, 0, in - 1)); };
  for (int64_t i = 0; i < out; ++i) {
    index.clear(), weight.clear();
    const double middle = step * (static_cast<double>(i) + 0.5);
    if (filter == kArea) {  // adaptive pooling, which knows sizes only
      for (int64_t j = i * in / out; j < ((i + 1) * in + out - 1) / out; ++j)
        index.push_back(static_cast<int32_t>(j)), weight.push_back(1.0);
    } else if (filter == kNearestExact) {
      index.push_back(clamped(static_cast<int64_t>(std::floor(middle)))), weight.push_back(1.0);
    } else if (antialias) {  // weights beyond the border are dropped
      const double wide = std::max(step, 1.0), support = (filter == kBicubic ? 2.0 : 1.0) * wide;
      const int64_t from = std::max<int64_t>(0, static_cast<int64_t>(std::floor(middle - support + 0.5)));
      const int64_t to = std::min<int64_t>(in, static_cast<int64_t>(std::floor(middle + support + 0.5)));
      for (int64_t j = from; j < to; ++j) {
        const double x = std::fabs((static_cast<double>(j) - middle + 0.5) / wide);
        index.push_back(static_cast<int32_t>(j));
        weight.push_back(filter == kBicubic ? cubic_of(x, -0.5) : triangle(x));
      }
    } else if (filter == kBicubic) {
      const double at = middle - 0.5, left = std::floor(at);
      for (int k = -1; k <= 2; ++k) {
        index.push_back(clamped(static_cast<int64_t>(left) + k));
        weight.push_back(cubic_of(std::fabs(at - left - k), -0.75));
      }
    } else {
      const double at = std::max(0.0, middle - 0.5), left = std::floor(at);
      for (int k = 0; k < 2; ++k) {
        index.push_back(clamped(static_cast<int64_t>(left) + k));
        weight.push_back(k ? at - left : 1.0 - (at - left));
      }
    }
    add_row(t, index, weight);
  }
  return t;
}

void degrade_kernel_cpu(int kind, int size, double sigma_x, double sigma_y, double angle, double shape, double* out) {
  const double middle = (size - 1) / 2.0, c = fixed::cos(angle), s = fixed::sin(angle);
  double sum = 0;
  for (int i = 0; i < size; ++i)
    for (int j = 0; j < size; ++j) {
      const double x = j - middle, y = i - middle;
      double value;
      if (kind == kSinc) {
        const double r = std::sqrt(x * x + y * y);
        value = r == 0.0 ? shape * shape / (4.0 * fixed::kPi) : shape * fixed::j1(shape * r) / (2.0 * fixed::kPi * r);
      } else {
        const double u = (c * x + s * y) / sigma_x, v = (c * y - s * x) / sigma_y, q = u * u + v * v;
        if (kind == kGaussian)
          value = fixed::exp(-0.5 * q);
        else if (kind == kGeneralized)
          value = fixed::exp(-0.5 * fixed::pow(q, shape));
        else
          value = 1.0 / (fixed::pow(q, shape) + 1.0);
      }
      out[i * size + j] = value;
      sum += value;
    }
  for (int i = 0; i < size * size; ++i) out[i] /= sum;
}

void degrade_row_cpu(int kind, int size, double parameter, double* out) {
  double sum = 0;
  for (int i = 0; i < size; ++i) {
    const double x = i - (size - 1) / 2.0;
    if (kind == kGaussian) {
      out[i] = fixed::exp(-0.5 * x * x / (parameter * parameter));
    } else {  // Lanczos with three lobes, at the distances x * parameter
      const double a = fixed::kPi * x * parameter;
      const bool inside = std::fabs(x * parameter) < 3.0;
      out[i] = !inside ? 0.0 : a == 0.0 ? 1.0 : fixed::sin(a) / a * (fixed::sin(a / 3.0) / (a / 3.0));
    }
    sum += out[i];
  }
  for (int i = 0; i < size; ++i) out[i] /= sum;
}

const NormalTable& normal_table() {
  static const NormalTable table = [] {
    NormalTable t;
    // Newton's method from the value before: probabilities grow from piece to piece, and their quantiles fall.
    double x = 6.5, before = 0;
    constexpr int pieces = kNormalPieces * kNormalOctaves;
    for (int i = 0; i < pieces; ++i) {
      const double p = fixed::scaled(1.0 + (i % kNormalPieces) / double{kNormalPieces}, i / kNormalPieces - 33);
      for (int k = 0; k < 100; ++k) {
        const double density = 0.3989422804014327 * fixed::exp(-0.5 * x * x);
        // In the logarithm of the probability, which is nearly a parabola.
        const double now = p >= 0.5 ? 0.5 : fixed::tail(x);
        const double next = p >= 0.5 ? 0.0 : x + (fixed::log(now) - fixed::log(p)) * now / density;
        const bool done = std::fabs(next - x) < 1e-13;
        x = next;
        if (done) break;
      }
      t.piece[i].value = static_cast<float>(x);
      if (i) t.piece[i - 1].growth = static_cast<float>(x - before);
      before = x;
    }
    t.piece[pieces - 1].growth = 0;
    return t;
  }();
  return table;
}

const PoissonTable& poisson_table() {
  static const PoissonTable table = [] {
    PoissonTable t;
    for (int v = 0; v < 256; ++v) {
      const double mean = v * (256.0 / 255.0);
      const int base = std::max(0, static_cast<int>(std::floor(mean + 0.5)) - 128);
      t.base[v] = base;
      // Weights of the 256 counts from base on, which sum to 2^32; what rounding leaves goes to the likeliest.
      double log_p = -mean;
      for (int k = 1; k <= base; ++k) log_p += fixed::log(mean) - fixed::log(static_cast<double>(k));
      int64_t weight[256], left = int64_t{1} << 32;
      int likeliest = 0;
      for (int k = 0; k < 256; ++k) {
        if (k) log_p = v ? log_p + fixed::log(mean) - fixed::log(static_cast<double>(base + k)) : -800.0;
        weight[k] = static_cast<int64_t>(std::floor(fixed::exp(log_p) * 0x1p32 + 0.5));
        left -= weight[k];
        if (weight[k] > weight[likeliest]) likeliest = k;
      }
      weight[likeliest] += left;
      // Vose's alias method: columns of 2^24, each shared by at most two counts.
      std::vector<int> small, large;
      for (int k = 255; k >= 0; --k) (weight[k] < 1 << 24 ? small : large).push_back(k);
      uint32_t* const entry = t.entry + 256 * v;
      for (int k = 0; k < 256; ++k) entry[k] = 0xffffff00U | static_cast<uint32_t>(k);
      while (!small.empty() && !large.empty()) {
        const int a = small.back(), b = large.back();
        small.pop_back();
        entry[a] = static_cast<uint32_t>(weight[a]) << 8 | static_cast<uint32_t>(b);
        weight[b] -= (1 << 24) - weight[a];
        if (weight[b] < 1 << 24) large.pop_back(), small.push_back(b);
      }
    }
    return t;
  }();
  return table;
}

}  // namespace srfast
