#include "cpu/pack_int.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "cpu/engine_types.h"
#include "cpu/upsampling.h"

namespace srfast {

namespace {

constexpr double kTop = 32767;       // largest activation
constexpr double kSumTop = 2.147e9;  // largest sum: a little below 2^31, for biases are rounded

constexpr double kLeast = 1e-100;  // in place of 0 where a unit is a quotient; no product of weights is as small

// Rounds filters of [ny, nx] taps to integers so that the error hardly shows: e^T H e is kept small for the errors e,
// where H is the mean product of the pixels under two taps, LR pixels of conv1, in photographs, in stripes along the
// rows and the columns, and, above all, in flat areas, whose losses are smallest. The weights of the three are those
// with which no photograph of BSDS400, T91 and Urban100, and no pattern, is off by 5 %; stripes are the rarer the wider
// an LR pixel. Taps are rounded from the last to the first; each takes over what the errors before it do to its
// response (Babai's nearest plane, 1986).
class Rounding {
 public:
  Rounding(int ny, int nx, int scale) : n_(ny * nx), nx_(nx), factor_(static_cast<size_t>(n_ * n_)) {
    for (int i = 0; i < n_; ++i)
      for (int j = i; j < n_; ++j) {
        const int dy = i / nx - j / nx, dx = i % nx - j % nx;
        const double stripes = (0.08 - 0.01 * scale) * ((dx == 0) + (dy == 0));
        const double photographs = std::pow(0.86, std::hypot(dy, dx));
        double h = 50 + stripes + photographs;
        for (int k = 0; k < i; ++k) h -= factor(k, i) * factor(k, j);
        factor(i, j) = j == i ? std::sqrt(h) : h / factor(i, i);
      }
  }

  // out[t] = taps[t] * unit, rounded, -limit..limit. The best of orders from the four corners; returns e^T H e.
  template <class T>
  double round(const double* taps, double unit, double limit, T* out) const {
    std::vector<double> error(static_cast<size_t>(n_));
    std::vector<T> rounded(static_cast<size_t>(n_));
    double best = HUGE_VAL;
    for (int corner = 0; corner < 4; ++corner) {
      auto at = [&](int i) {
        return (corner & 2 ? n_ / nx_ - 1 - i / nx_ : i / nx_) * nx_ + (corner & 1 ? nx_ - 1 - i % nx_ : i % nx_);
      };
      double cost = 0;
      for (int i = n_ - 1; i >= 0; --i) {
        const double* row = factor_.data() + i * n_;
        double carried = 0;
        for (int j = i + 1; j < n_; ++j) carried += row[j] * error[j];
        const double exact = taps[at(i)] * unit, v = std::clamp(std::round(exact - carried / row[i]), -limit, limit);
        error[i] = v - exact;
        rounded[at(i)] = static_cast<T>(v);
        cost += (carried + row[i] * error[i]) * (carried + row[i] * error[i]);
      }
      if (cost >= best) continue;
      best = cost;
      std::copy(rounded.begin(), rounded.end(), out);
    }
    return best;
  }

 private:
  double& factor(int i, int j) { return factor_[static_cast<size_t>(i * n_ + j)]; }

  int n_, nx_;
  std::vector<double> factor_;  // upper Cholesky factor of H
};

// Bits to shift a sum of at most `bound` by to make an activation of it.
int bits_above(double bound) {
  return std::max(0, static_cast<int>(std::ceil(std::log2(std::max(bound, 1.0) / kTop))));
}

// A value rounded to the integers that sums have; 0 where it is not a number.
int32_t whole(double value) {
  return std::isnan(value) ? 0 : static_cast<int32_t>(std::clamp(std::floor(value + 0.5), -kSumTop, kSumTop));
}

// value, and half a unit of what is left after shifting by k: the shift rounds.
int32_t bias_of(double value, int k) { return whole(value + (k > 0 ? std::ldexp(0.5, k) : 0.0)); }

// Units of one layer's activations (one of the integers is 1 / unit), and the largest that an image can give.
struct Units {
  std::vector<double> per_one, top;
  explicit Units(int channels) : per_one(static_cast<size_t>(channels)), top(per_one) {}
};

// The weights without what no image changes. A channel of conv1 that is above some value in every image is that value,
// which goes into conv2's biases, and what is left of it; where nothing is left, or where the channel is 0 in every
// image, it has no weights. Else the integers of a constant, or its range, would take the bits of what varies.
struct Varying {
  std::vector<float> w1, b1, w2, b2;
  SrcnnWeights weights;

  Varying(const SrcnnWeights& from, int scale)
      : w1(from.w1, from.w1 + 81 * kC1),
        b1(from.b1, from.b1 + kC1),
        w2(from.w2, from.w2 + kC1 * kC2),
        b2(from.b2, from.b2 + kC2),
        weights{w1.data(), b1.data(), w2.data(), b2.data(), from.w3, from.b3} {
    double least[kC1], most[kC1], moved[kC2] = {};
    std::fill_n(least, kC1, HUGE_VAL);
    std::fill_n(most, kC1, -HUGE_VAL);
    const std::vector<Window> windows = classes(scale);
    for (const Window& y : windows)
      for (const Window& x : windows) {
        const std::vector<double> filters = fold(from.w1, y, x);
        const double* tap = filters.data();
        for (int c = 0; c < kC1; ++c) {
          double below = b1[c], above = below;
          for (int t = 0; t < y.taps * x.taps; ++t, ++tap) (*tap < 0 ? below : above) += 255 * *tap;
          least[c] = std::min(least[c], below);
          most[c] = std::max(most[c], above);
        }
      }
    for (int c = 0; c < kC1; ++c) {
      const double constant = std::max(least[c], 0.0);
      for (int o = 0; o < kC2; ++o) moved[o] += constant * static_cast<double>(w2[o * kC1 + c]);
      b1[c] = static_cast<float>(b1[c] - constant);
      if (most[c] > constant) continue;
      b1[c] = 0;
      std::fill_n(w1.data() + c * 81, 81, 0.0f);
      for (int o = 0; o < kC2; ++o) w2[o * kC1 + c] = 0;
    }
    for (int o = 0; o < kC2; ++o) {
      constexpr double most_float = std::numeric_limits<float>::max();
      b2[o] = static_cast<float>(std::clamp(b2[o] + moved[o], -most_float, most_float));
    }
  }
};

// conv1. A channel has one unit for every class, so that conv2 has one filter; the units of the weights differ from
// class to class by powers of two, which the shifts take back. The sum of the taps, which the classes share, is a whole
// number of units wherever it can be.
Units quantize1(const SrcnnWeights& weights, int scale, IntNetwork& z) {
  const std::vector<Window> windows = classes(scale);
  z.classes = static_cast<int>(windows.size());
  for (int i = 0; i < z.classes; ++i) {
    z.taps = std::max(z.taps, windows[i].taps);
    z.first[i] = windows[i].first;
  }
  const int pairs = z.classes * z.classes;
  struct Pair {
    int ny, nx;
    bool inside;
    std::vector<double> filters;  // [64][ny][nx]
    const Rounding* rounding;
    int finer = 0;  // the unit of its weights is 2^finer times the channel's
    double top = 0, correction = 0;
    double largest(int c) const {
      double most = 0;
      for (int t = 0; t < ny * nx; ++t) most = std::max(most, std::fabs(filters[c * ny * nx + t]));
      return most;
    }
  };
  std::map<std::pair<int, int>, Rounding> roundings;
  std::vector<Pair> all;
  for (int p = 0; p < pairs; ++p) {
    const int cy = p / z.classes, cx = p % z.classes, ny = windows[cy].taps, nx = windows[cx].taps;
    const Rounding& rounding = roundings.try_emplace({ny, nx}, ny, nx, scale).first->second;
    all.push_back({ny, nx, cy < scale && cx < scale, fold(weights.w1, windows[cy], windows[cx]), &rounding});
  }
  z.w1.assign(static_cast<size_t>(pairs * kC1 * z.taps * kTapColumns), 0);
  z.bias1.resize(static_cast<size_t>(pairs * kC1));
  z.shift1.resize(z.bias1.size());
  Units units(kC1);
  std::vector<int8_t> q(64);
  for (int c = 0; c < kC1; ++c) {
    double flat = 0, largest = 0;
    for (int t = 0; t < 81; ++t) flat += static_cast<double>(weights.w1[c * 81 + t]) / 255.0;
    for (const Pair& p : all)
      if (p.inside) largest = std::max(largest, p.largest(c));
    double unit = largest > 0 ? 126.5 / largest : 1.0;
    // Whole also in the coarser units of border classes, where that costs little.
    const double whole = std::fabs(flat) * unit, step = whole >= 32 ? 4 : (whole >= 8 ? 2 : 1);
    if (whole >= 1) {
      const double finest = unit;
      double best = HUGE_VAL;
      for (double n = std::floor(whole / step) * step; n >= step && (n >= 0.9 * whole || best == HUGE_VAL); n -= step) {
        const double r = finest * n / whole;
        double cost = 0;
        for (const Pair& p : all)
          if (p.inside) cost += p.rounding->round(p.filters.data() + c * p.ny * p.nx, r, 127, q.data()) / (r * r);
        if (cost < best) unit = r;
        best = std::min(best, cost);
      }
    }
    int coarsest = 0;
    double bound = 0;
    for (int i = 0; i < pairs; ++i) {
      Pair& p = all[i];
      const double most = p.largest(c) * unit;
      p.finer = most > 0 ? std::clamp(static_cast<int>(std::floor(std::log2(127.0 / most))), -4, 4) : 0;
      const double r = std::ldexp(unit, p.finer);
      p.rounding->round(p.filters.data() + c * p.ny * p.nx, r, 127, q.data());
      double sum = 0, positive = 0;
      for (int t = 0; t < p.ny * p.nx; ++t) {
        z.w1[((i * kC1 + c) * z.taps + t / p.nx) * kTapColumns + t % p.nx] = q[t];
        sum += q[t];
        positive += std::max<int>(q[t], 0);
      }
      p.correction = (flat * r - sum) * 128;  // what the sum still lacks, in areas of medium grey
      p.top = weights.b1[c] * r + p.correction + 255 * positive + 1;
      coarsest = std::min(coarsest, p.finer);
      bound = std::max(bound, std::ldexp(p.top, -p.finer));
    }
    const int shift = std::max(-coarsest, bits_above(bound));
    units.per_one[c] = std::ldexp(unit, -shift);
    for (int i = 0; i < pairs; ++i) {
      const int k = shift + all[i].finer;
      z.shift1[i * kC1 + c] = k;
      z.bias1[i * kC1 + c] = bias_of(weights.b1[c] * std::ldexp(unit, all[i].finer) + all[i].correction, k);
      units.top[c] = std::clamp(std::floor(std::ldexp(all[i].top, -k) + 1), units.top[c], kTop);
    }
  }
  return units;
}

constexpr int kDarkest = 16, kBrightest = 235;  // of Y

// h1 of flat areas, by the definition and in integers.
struct Flat {
  double h1[kBrightest + 1][kC1];
  int64_t integers[kBrightest + 1][kC1];
  Flat(const SrcnnWeights& weights, const IntNetwork& z) {
    for (int c = 0; c < kC1; ++c) {
      double sum = 0;
      int64_t sum_int = 0;
      for (int t = 0; t < 81; ++t) sum += static_cast<double>(weights.w1[c * 81 + t]);
      for (int t = 0; t < z.taps * kTapColumns; ++t) sum_int += z.w1[c * z.taps * kTapColumns + t];
      for (int grey = kDarkest; grey <= kBrightest; ++grey) {
        h1[grey][c] = std::max(weights.b1[c] + sum / 255.0 * grey, 0.0);
        integers[grey][c] = std::max<int64_t>((z.bias1[c] + sum_int * grey) >> z.shift1[c], 0);
      }
    }
  }
};

// conv2. The units of channel c are `coarser[c]` >= 1 times what they could be.
Units quantize2(const SrcnnWeights& weights, const Units& in, const Flat& flat, const std::vector<double>& coarser,
                IntNetwork& z) {
  Units units(kC2);
  z.w2.resize(kC1 * kC2);
  z.bias2.resize(kC2);
  z.shift2.resize(kC2);
  for (int c = 0; c < kC2; ++c) {
    double v[kC1], largest = kLeast, most = weights.b2[c], least = most;
    for (int i = 0; i < kC1; ++i) {
      v[i] = weights.w2[c * kC1 + i] / in.per_one[i];
      largest = std::max(largest, std::fabs(v[i]));
      (v[i] > 0 ? most : least) += v[i] * in.top[i];
    }
    constexpr double rounding = kC1 * kTop;  // what the roundings of the weights, and of their correction, add at most
    const double finest = std::min(32766 / largest, (kSumTop - rounding) / std::max({most, -least, kLeast}));
    const double bound = std::max(most, 0.0) * finest + rounding, r = finest / coarser[c];
    const int k = bits_above(bound);
    z.shift2[c] = k;
    z.bias2[c] = bias_of(weights.b2[c] * r, k);
    units.per_one[c] = std::ldexp(r, -k);
    units.top[c] = std::min(std::floor(std::ldexp(std::max(most, 0.0) * r + rounding, -k) + 1), kTop);
    for (int i = 0; i < kC1; ++i) z.w2[c * kC1 + i] = static_cast<int16_t>(std::lround(v[i] * r));
    // The roundings so far are the same all over a flat area: the bias takes their mean.
    double error = 0, greys = kLeast;
    for (int grey = kDarkest; grey <= kBrightest; ++grey) {
      double sum = weights.b2[c], got = weights.b2[c] * r;
      for (int i = 0; i < kC1; ++i) {
        sum += static_cast<double>(weights.w2[c * kC1 + i]) * flat.h1[grey][i];
        got += static_cast<double>(z.w2[c * kC1 + i] * flat.integers[grey][i]);
      }
      if (sum <= 0) continue;
      error += got - sum * r;
      greys += 1;
    }
    z.bias2[c] -= static_cast<int32_t>(std::clamp(error / greys, -rounding / 2, rounding / 2));
  }
  return units;
}

// conv3 in grey levels for activations in units of `in`, and how many of the integers are one grey level.
struct Last {
  double taps[kC2][25], flat[kC2], per_one;
  Last(const SrcnnWeights& weights, const Units& in) {
    double largest = kLeast, most = 255.0 * weights.b3[0], least = most, rounding = 0;
    for (int c = 0; c < kC2; ++c) {
      flat[c] = 0;
      rounding += 25 * in.top[c];
      for (int t = 0; t < 25; ++t) {
        const double v = taps[c][t] = 255.0 * weights.w3[c * 25 + t] / in.per_one[c];
        largest = std::max(largest, std::fabs(v));
        (v > 0 ? most : least) += v * in.top[c];
        flat[c] += v;
      }
    }
    per_one = std::min(26000 / largest, (kSumTop - rounding) / std::max({most, -least, kLeast}));
  }
};

void quantize3(const SrcnnWeights& weights, const Last& last, double per_one, int scale, IntNetwork& z) {
  z.w3.resize(25 * kC2);
  const Rounding rounding(5, 5, scale);
  for (int c = 0; c < kC2; ++c) {
    int16_t q[25];
    rounding.round(last.taps[c], per_one, 32767, q);
    for (int t = 0; t < 25; ++t) z.w3[t * kC2 + c] = q[t];
  }
  z.bias3 = bias_of(255.0 * weights.b3[0] * per_one, 0);
  z.unit = static_cast<float>(1.0 / per_one);
}

// What to take from every reconstruction, so that the losses of flat areas, over the grey levels that Y has, are off by
// least. Most flat areas of photographs are white (the sky) or black.
double flat_offset(const SrcnnWeights& weights, const Flat& flat, const IntNetwork& z) {
  std::vector<double> residuals, errors;
  for (int grey = kDarkest; grey <= kBrightest; ++grey) {
    double sr = 255.0 * weights.b3[0];
    int64_t sum3 = z.bias3;
    for (int c = 0; c < kC2; ++c) {
      double sum = weights.b2[c], taps = 0;
      int64_t sum_int = z.bias2[c], taps_int = 0;
      for (int i = 0; i < kC1; ++i) {
        sum += static_cast<double>(weights.w2[c * kC1 + i]) * flat.h1[grey][i];
        sum_int += z.w2[c * kC1 + i] * flat.integers[grey][i];
      }
      for (int t = 0; t < 25; ++t) {
        taps += static_cast<double>(weights.w3[c * 25 + t]);
        taps_int += z.w3[t * kC2 + c];
      }
      sr += 255.0 * taps * std::max(sum, 0.0);
      sum3 += taps_int * std::max<int64_t>(sum_int >> z.shift2[c], 0);
    }
    residuals.push_back(sr - grey);
    errors.push_back(static_cast<double>(sum3) * static_cast<double>(z.unit) - sr);
  }
  const auto [low, high] = std::minmax_element(errors.begin(), errors.end());
  double best = 0, least = HUGE_VAL;
  for (int step = 0; step <= 100; ++step) {
    const double taken = *low + (*high - *low) * step / 100;
    double worst = 0;
    for (size_t i = 0; i < errors.size(); ++i) {
      const double d = residuals[i], e = errors[i] - taken;
      const double weight = i == 0 || i + 1 == errors.size() ? 3 : 1;
      worst = std::max(worst, weight * std::fabs(e * (2 * d + e)) / std::max(d * d, 1.0));
    }
    if (worst >= least) continue;
    least = worst;
    best = taken;
  }
  return best;
}

}  // namespace

IntNetwork quantize(const SrcnnWeights& given, int scale) {
  const Varying varying(given, scale);
  const SrcnnWeights& weights = varying.weights;
  IntNetwork z;
  const Units first = quantize1(weights, scale, z);
  const auto flat = std::make_unique<Flat>(weights, z);
  std::vector<double> coarser(kC2, 1.0);
  const Last last(weights, quantize2(weights, first, *flat, coarser, z));
  // In slightly coarser units of a channel the sum of its taps in conv3 is whole, like those of conv1.
  for (int c = 0; c < kC2; ++c) {
    const double whole = std::fabs(last.flat[c]) * last.per_one, wider = std::ceil(whole) / std::max(whole, kLeast);
    if (wider < 1.25) coarser[c] = wider;
  }
  quantize3(weights, Last(weights, quantize2(weights, first, *flat, coarser, z)), last.per_one, scale, z);
  z.bias3 = whole(z.bias3 - std::round(flat_offset(weights, *flat, z) / static_cast<double>(z.unit)));
  return z;
}

}  // namespace srfast
