#include "cpu/pack.h"

#include <algorithm>
#include <cmath>

#include "core/bicubic.h"

namespace srfast {

namespace {

struct Phase {
  int first;          // LR offset of the first tap
  double weight[4];   // four taps
};

// Up-sampling by s: output s * i + p reads LR i + first .. i + first + 3. 1-based centre u = (s * i + p + 1) / s + (1 - 1 / s) / 2.
Phase up_phase(int s, int p) {
  const double u = (p + 1.0) / s + 0.5 * (1.0 - 1.0 / s);
  const double left = std::floor(u - 2.0) + (u - 2.0 == std::floor(u - 2.0) ? 0.0 : 1.0);
  Phase phase;
  phase.first = static_cast<int>(left) - 1;
  double sum = 0;
  for (int j = 0; j < 4; ++j) sum += phase.weight[j] = cubic(u - (left + j));
  for (double& w : phase.weight) w /= sum;
  return phase;
}

// Position of HR offset d from output s * k + p: HR s * k + p + d = s * (k + q) + r.
void split(int s, int position, int& q, int& r) {
  q = position >= 0 ? position / s : -((-position + s - 1) / s);
  r = position - q * s;
}

void pack_fold(const float* w1, int s, const Phase* phases, PackedStorage& out) {
  Packed& k = out.packed;
  int taps = 0;
  for (int p = 0; p < s; ++p) {
    int lo = 1 << 20, hi = -(1 << 20);
    for (int d = -kR1; d <= kR1; ++d) {
      int q, r;
      split(s, p + d, q, r);
      for (int j = 0; j < 4; ++j)
        if (phases[r].weight[j] != 0) {
          lo = std::min(lo, q + phases[r].first + j);
          hi = std::max(hi, q + phases[r].first + j);
        }
    }
    k.fold_first[p] = lo;
    taps = std::max(taps, hi - lo + 1);
  }
  k.fold_taps = taps;
  // spread[p][d][a]: weight of LR tap a in HR offset d
  std::vector<double> spread(static_cast<size_t>(s * 9 * taps), 0.0);
  for (int p = 0; p < s; ++p)
    for (int d = -kR1; d <= kR1; ++d) {
      int q, r;
      split(s, p + d, q, r);
      for (int j = 0; j < 4; ++j)
        if (phases[r].weight[j] != 0)
          spread[(p * 9 + d + kR1) * taps + q + phases[r].first + j - k.fold_first[p]] += phases[r].weight[j];
    }
  out.fold.assign(static_cast<size_t>(s * s * taps * taps * kC1), 0.0f);
  for (int py = 0; py < s; ++py)
    for (int px = 0; px < s; ++px)
      for (int a = 0; a < taps; ++a)
        for (int b = 0; b < taps; ++b)
          for (int c = 0; c < kC1; ++c) {
            double sum = 0;
            for (int i = 0; i < 9; ++i)
              for (int j = 0; j < 9; ++j)
                sum += spread[(py * 9 + i) * taps + a] * spread[(px * 9 + j) * taps + b] *
                       static_cast<double>(w1[(c * 9 + i) * 9 + j]);
            out.fold[(((py * s + px) * taps + a) * taps + b) * kC1 + c] = static_cast<float>(sum / 255.0);
          }
  k.fold = out.fold.data();
}

}  // namespace

void pack_weights(const SrcnnWeights& weights, int scale, PackedStorage& out) {
  Packed& k = out.packed;
  k.scale = scale;
  out.w1.resize(81 * kC1);
  for (int c = 0; c < kC1; ++c)
    for (int t = 0; t < 81; ++t)
      out.w1[t * kC1 + c] = static_cast<float>(static_cast<double>(weights.w1[c * 81 + t]) / 255.0);
  out.b1.assign(weights.b1, weights.b1 + kC1);
  out.w2.resize(kC1 * kC2);
  for (int c = 0; c < kC2; ++c)
    for (int i = 0; i < kC1; ++i) out.w2[i * kC2 + c] = weights.w2[c * kC1 + i];
  out.b2.assign(weights.b2, weights.b2 + kC2);
  out.w3.resize(25 * kC2);
  for (int c = 0; c < kC2; ++c)
    for (int t = 0; t < 25; ++t) out.w3[t * kC2 + c] = 255.0f * weights.w3[c * 25 + t];
  k.b3 = 255.0f * weights.b3[0];
  k.w1 = out.w1.data();
  k.b1 = out.b1.data();
  k.w2 = out.w2.data();
  k.b2 = out.b2.data();
  k.w3 = out.w3.data();

  // 1-based centre of LR pixel 0: u = s + (1 - s) / 2, taps at distance < 2 s.
  const double u = scale + 0.5 * (1.0 - scale);
  const int left = static_cast<int>(std::floor(u - 2.0 * scale)) + 1;
  k.down_sum = scale == 2 ? 256 : (scale == 3 ? 81 : 4096);
  k.down_taps = scale == 2 ? 8 : (scale == 3 ? 11 : 16);
  k.down_first = left - 1;
  for (int j = 0; j < k.down_taps; ++j)
    k.down[j] = static_cast<int32_t>(std::lround(cubic((u - (left + j)) / scale) / scale * k.down_sum));

  Phase phases[4];
  for (int p = 0; p < scale; ++p) {
    phases[p] = up_phase(scale, p);
    k.up_first[p] = phases[p].first;
    for (int j = 0; j < 4; ++j) k.up[p][j] = static_cast<float>(phases[p].weight[j]);
  }
  pack_fold(weights.w1, scale, phases, out);
  // x2: 64 folded taps against 81, but the eight border columns fill two more tiles; measured slower at 96 x 96.
  k.use_fold = scale != 2;
}

void make_tables(const Packed& k, int64_t h, int64_t w, int boundary, TableStorage& out) {
  const int64_t lh = h / k.scale, lw = w / k.scale;
  out.down_rows.resize(static_cast<size_t>(lh * k.down_taps));
  for (int64_t i = 0; i < lh; ++i)
    for (int j = 0; j < k.down_taps; ++j)
      out.down_rows[i * k.down_taps + j] =
          static_cast<int32_t>(border_index(k.scale * i + k.down_first + j, h, boundary));
  out.down_cols.resize(static_cast<size_t>(w + k.down_taps));
  for (int64_t i = 0; i < w + k.down_taps; ++i)
    out.down_cols[i] = static_cast<int32_t>(border_index(i + k.down_first, w, boundary));
  out.lr_rows.resize(static_cast<size_t>(lh + 2 * kUpPad));
  for (int64_t i = 0; i < lh + 2 * kUpPad; ++i)
    out.lr_rows[i] = static_cast<int32_t>(border_index(i - kUpPad, lh, boundary));
  out.lr_cols.resize(static_cast<size_t>(lw + 2 * kUpPad));
  for (int64_t i = 0; i < lw + 2 * kUpPad; ++i)
    out.lr_cols[i] = static_cast<int32_t>(border_index(i - kUpPad, lw, boundary));
  out.tables = {h, w, lh, lw, out.down_rows.data(), out.down_cols.data(), out.lr_rows.data(), out.lr_cols.data()};
}

ScratchStorage::ScratchStorage(const Packed& k, const Tables& t) {
  auto round_up = [](int64_t n) { return (n + 63) / 64 * 64; };
  Scratch& s = scratch;
  s.lr_stride = round_up(t.lw + 2 * kUpPad + kSlack);
  s.up_stride = round_up(t.w + 2 * kR1 + kSlack);
  s.h2_stride = round_up((t.w + 2 * kR3 + kSlack) * kC2);
  const int64_t sizes[] = {round_up(32 * t.w),
                           round_up(t.w + k.down_taps + 64),
                           round_up(t.lh * t.lw),
                           4 * s.lr_stride * (t.lh + 2 * kUpPad),
                           4 * s.lr_stride,
                           4 * s.up_stride * 9,
                           4 * 16 * kC1,
                           4 * s.h2_stride * 5,
                           4 * round_up(t.w + kSlack),
                           4 * round_up(t.w + kSlack)};
  int64_t total = 64;
  for (int64_t n : sizes) total += round_up(n);
  memory_.assign(static_cast<size_t>(total), 0);
  unsigned char* p = memory_.data();
  p += (64 - reinterpret_cast<std::uintptr_t>(p) % 64) % 64;
  int i = 0;
  auto take = [&]() {
    unsigned char* here = p;
    p += round_up(sizes[i++]);
    return here;
  };
  s.y_ring = take();
  s.mid = take();
  s.lr = take();
  s.lr_pad = reinterpret_cast<float*>(take());
  s.up_mid = reinterpret_cast<float*>(take());
  s.up_ring = reinterpret_cast<float*>(take());
  s.h1 = reinterpret_cast<float*>(take());
  s.h2_ring = reinterpret_cast<float*>(take());
  s.out = reinterpret_cast<float*>(take());
  s.sr = reinterpret_cast<float*>(take());
}

}  // namespace srfast
