#include "cpu/pack.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "cpu/upsampling.h"

namespace srfast {

namespace {

void pack_fold(const float* w1, int s, PackedStorage& out) {
  Packed& k = out.packed;
  constexpr int far = 1 << 20;
  k.fold_taps = s == 2 ? 8 : (s == 3 ? 7 : 6);
  Window windows[4];
  for (int p = 0; p < s; ++p) {
    windows[p] = window(s, p, kR1, -far, far);
    k.fold_first[p] = windows[p].first;
  }
  const int n = k.fold_taps;
  out.fold.assign(static_cast<size_t>(s * s * n * n * kC1), 0.0f);
  for (int py = 0; py < s; ++py)
    for (int px = 0; px < s; ++px) {
      const Window &y = windows[py], &x = windows[px];
      for (int a = 0; a < y.taps; ++a)
        for (int b = 0; b < x.taps; ++b)
          for (int c = 0; c < kC1; ++c) {
            double sum = 0;
            for (int i = 0; i < 9; ++i)
              for (int j = 0; j < 9; ++j)
                sum +=
                    y.weight[i * y.taps + a] * x.weight[j * x.taps + b] * static_cast<double>(w1[(c * 9 + i) * 9 + j]);
            out.fold[(((py * s + px) * n + a) * n + b) * kC1 + c] = static_cast<float>(sum / 255.0);
          }
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

  for (int p = 0; p < scale; ++p) {
    const Phase phase = up_phase(scale, p);
    k.up_first[p] = phase.first;
    for (int j = 0; j < 4; ++j) k.up[p][j] = static_cast<float>(phase.weight[j]);
  }
  pack_fold(weights.w1, scale, out);
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
  unsigned char* p = nullptr;
  auto take = [&](auto*& pointer, int64_t count) {
    using T = std::remove_reference_t<decltype(*pointer)>;
    pointer = reinterpret_cast<T*>(p);
    p += round_up(count * static_cast<int64_t>(sizeof(T)));
  };
  auto layout = [&] {
    take(s.y_ring, 32 * t.w);
    take(s.mid, t.w + k.down_taps + 64);
    take(s.lr, t.lh * t.lw);
    take(s.lr_pad, s.lr_stride * (t.lh + 2 * kUpPad));
    take(s.up_mid, s.lr_stride);
    take(s.up_ring, s.up_stride * 9);
    take(s.out, t.w + kSlack);
    take(s.sr, t.w + kSlack);
    if (k.quantized) {
      take(s.lr_pad8, s.lr_stride * (t.lh + 2 * kUpPad));
      take(s.h1_int, 16 * kC1);
      take(s.h2_int, s.h2_stride * 5);
    }
    take(s.h1, 16 * kC1);
    take(s.h2_ring, s.h2_stride * 5);
  };
  layout();
  memory_.assign(reinterpret_cast<std::uintptr_t>(p) + 64, 0);
  p = memory_.data() + (64 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 64) % 64;
  layout();
}

}  // namespace srfast
