#include "cpu/pack_int.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "cpu/score_plan.h"
#include "cpu/upsampling.h"

namespace srfast {

namespace {

constexpr double kTop = 24000;  // where the largest calibrated activation lands; 32767 saturates
constexpr int kFar = 1 << 20;   // no clamping

std::vector<Window> windows(int s) {
  std::vector<Window> w;
  for (int p = 0; p < s; ++p) w.push_back(window(s, p, kR1, -kFar, kFar));
  for (int i = 0; i < kR1; ++i) w.push_back(window(s, i, kR1, 0, kFar));
  for (int i = 0; i < kR1; ++i) w.push_back(window(s, i - kR1, kR1, -kFar, -1));
  return w;
}

// conv1 composed with the up-sampler for one pair of classes: [64][ny][nx].
std::vector<double> fold(const float* w1, const Window& y, const Window& x) {
  std::vector<double> out(static_cast<size_t>(kC1 * y.taps * x.taps), 0.0);
  std::vector<double> half(static_cast<size_t>(9 * x.taps));
  for (int c = 0; c < kC1; ++c) {
    std::fill(half.begin(), half.end(), 0.0);
    for (int i = 0; i < 9; ++i)
      for (int j = 0; j < 9; ++j)
        for (int b = 0; b < x.taps; ++b)
          half[i * x.taps + b] += static_cast<double>(w1[(c * 9 + i) * 9 + j]) / 255.0 * x.weight[j * x.taps + b];
    for (int i = 0; i < 9; ++i)
      for (int a = 0; a < y.taps; ++a)
        for (int b = 0; b < x.taps; ++b)
          out[(c * y.taps + a) * x.taps + b] += y.weight[i * y.taps + a] * half[i * x.taps + b];
  }
  return out;
}

// Largest activations over flat areas, edges and noise, through the first phase's filters.
void calibrate(const SrcnnWeights& w, const std::vector<double>& filter, int taps, std::vector<double>& h1_top,
               std::vector<double>& h2_top) {
  std::mt19937 random(1);
  auto uniform = [&](double lo, double hi) { return lo + (hi - lo) * (random() / 4294967296.0); };
  h1_top.assign(kC1, 0.0);
  h2_top.assign(kC2, 0.0);
  std::vector<double> x(static_cast<size_t>(taps * taps)), h1(kC1);
  for (int sample = 0; sample < 768; ++sample) {
    const double low = uniform(0, 255), high = sample % 4 == 0 ? low : uniform(0, 255);
    const double angle = uniform(0, 6.283185307), shift = uniform(-3, 3);
    for (int a = 0; a < taps; ++a)
      for (int b = 0; b < taps; ++b) {
        const double side = std::cos(angle) * (a - taps / 2) + std::sin(angle) * (b - taps / 2) + shift;
        const bool up = sample % 4 == 3 ? uniform(0, 1) < 0.5 : side > 0;
        x[a * taps + b] = up ? high : low;
      }
    for (int c = 0; c < kC1; ++c) {
      double sum = w.b1[c];
      for (int t = 0; t < taps * taps; ++t) sum += filter[c * taps * taps + t] * x[t];
      h1[c] = std::max(sum, 0.0);
      h1_top[c] = std::max(h1_top[c], h1[c]);
    }
    for (int c = 0; c < kC2; ++c) {
      double sum = w.b2[c];
      for (int i = 0; i < kC1; ++i) sum += static_cast<double>(w.w2[c * kC1 + i]) * h1[i];
      h2_top[c] = std::max(h2_top[c], sum);
    }
  }
}

// A channel that hardly responds gets coarse units: in fine ones its weights in the next layer would outgrow the
// others.
std::vector<double> units(const std::vector<double>& top) {
  const double floor = std::max(1e-3 * *std::max_element(top.begin(), top.end()), 1e-12);
  std::vector<double> q;
  for (double t : top) q.push_back(kTop / std::max(t, floor));
  return q;
}

// Rounds a filter [ny, nx] to int8 in units of 1 / r, which is returned. The error of a tap is
// carried to its neighbour: the sum of the filter stays exact.
template <class Store>
double round_taps(const double* taps, int ny, int nx, Store&& store) {
  double largest = 0;
  for (int t = 0; t < ny * nx; ++t) largest = std::max(largest, std::fabs(taps[t]));
  const double r = largest > 0 ? 126.0 / largest : 1.0;
  double carry = 0;
  for (int a = 0; a < ny; ++a)
    for (int i = 0; i < nx; ++i) {
      const int b = a % 2 ? nx - 1 - i : i;
      const double exact = taps[a * nx + b] * r + carry;
      const double v = std::clamp(std::round(exact), -127.0, 127.0);
      carry = exact - v;
      store(a, b, static_cast<int8_t>(v));
    }
  return r;
}

}  // namespace

void pack_int_weights(const SrcnnWeights& weights, int scale, IntWeightsStorage& out) {
  IntWeights& z = out.weights;
  const std::vector<Window> w = windows(scale);
  z.classes = static_cast<int>(w.size());
  z.taps = 0;
  for (const Window& v : w) z.taps = std::max(z.taps, v.taps);
  for (int i = 0; i < z.classes; ++i) z.first[i] = w[i].first;

  std::vector<double> h1_top, h2_top;
  calibrate(weights, fold(weights.w1, w[0], w[0]), w[0].taps, h1_top, h2_top);
  const std::vector<double> q1 = units(h1_top), q2 = units(h2_top);

  const size_t pairs = static_cast<size_t>(z.classes * z.classes), filter = static_cast<size_t>(z.taps * 8 * kC1);
  out.w1.assign(pairs * filter, 0);
  out.m1.resize(pairs * kC1);
  out.a1.resize(kC1);
  for (int c = 0; c < kC1; ++c) out.a1[c] = static_cast<float>(weights.b1[c] * q1[c]);
  for (int cy = 0; cy < z.classes; ++cy)
    for (int cx = 0; cx < z.classes; ++cx) {
      const int ny = w[cy].taps, nx = w[cx].taps;
      const std::vector<double> f = fold(weights.w1, w[cy], w[cx]);
      const size_t pair = static_cast<size_t>(cy * z.classes + cx);
      for (int c = 0; c < kC1; ++c) {
        const double* taps = f.data() + c * ny * nx;
        const double r = round_taps(taps, ny, nx, [&](int a, int b, int8_t v) {
          out.w1[pair * filter + ((2 * a + b / 4) * kC1 + c) * 4 + b % 4] = v;
        });
        out.m1[pair * kC1 + c] = static_cast<float>(q1[c] / r);
      }
    }

  auto channel1 = [](int position) { return position / 32 * 32 + packed_channel(position % 32); };
  out.w2.resize(kC1 * kC2);
  out.m2.resize(kC2);
  out.a2.resize(kC2);
  for (int c = 0; c < kC2; ++c) {
    double top = 1e-30, sum = 1e-30;
    for (int i = 0; i < kC1; ++i) {
      const double v = std::fabs(weights.w2[c * kC1 + i] / q1[i]);
      top = std::max(top, v);
      sum += v;
    }
    const double r = std::min(32767.0 / top, 65000.0 / sum);  // 32767 * sum stays below 2^31
    out.m2[c] = static_cast<float>(q2[c] / r);
    out.a2[c] = static_cast<float>(weights.b2[c] * q2[c]);
    for (int position = 0; position < kC1; ++position) {
      const int i = channel1(position);
      out.w2[(position / 2 * kC2 + c) * 2 + position % 2] =
          static_cast<int16_t>(std::lround(weights.w2[c * kC1 + i] / q1[i] * r));
    }
  }

  double r3 = 1e6;  // |output| < 2000 grey levels stays below 2^31
  auto w3 = [&](int tap, int position) {
    const int c = packed_channel(position);
    return 255.0 * weights.w3[c * 25 + tap] / q2[c];
  };
  for (int lane = 0; lane < 16; ++lane) {
    double top = 1e-30, sum = 1e-30;
    for (int tap = 0; tap < 25; ++tap)
      for (int e = 0; e < 2; ++e) {
        top = std::max(top, std::fabs(w3(tap, 2 * lane + e)));
        sum += std::fabs(w3(tap, 2 * lane + e));
      }
    r3 = std::min({r3, 32767.0 / top, 65000.0 / sum});
  }
  out.w3.resize(25 * kC2);
  for (int tap = 0; tap < 25; ++tap)
    for (int position = 0; position < kC2; ++position)
      out.w3[tap * kC2 + position] = static_cast<int16_t>(std::lround(w3(tap, position) * r3));
  z.m3 = static_cast<float>(1.0 / r3);
  z.a3 = 255.0f * weights.b3[0];
  z.w1 = out.w1.data();
  z.m1 = out.m1.data();
  z.a1 = out.a1.data();
  z.w2 = out.w2.data();
  z.m2 = out.m2.data();
  z.a2 = out.a2.data();
  z.w3 = out.w3.data();
}

}  // namespace srfast
