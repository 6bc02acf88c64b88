#include "cpu/pack.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/filter.h"
#include "cpu/upsampling.h"

namespace srfast {

namespace {

// Appends a folded filter as [n][columns][64], rows and columns at its end zero.
void append(const std::vector<double>& filter, const Window& y, const Window& x, int n, int columns,
            std::vector<float>& out) {
  const size_t at = out.size();
  out.resize(at + static_cast<size_t>(n * columns * kC1), 0.0f);
  for (int c = 0; c < kC1; ++c)
    for (int a = 0; a < y.taps; ++a)
      for (int b = 0; b < x.taps; ++b)
        out[at + static_cast<size_t>((a * columns + b) * kC1 + c)] =
            static_cast<float>(filter[(c * y.taps + a) * x.taps + b]);
}

void pack_fold(const float* w1, int s, PackedStorage& out) {
  Packed& k = out.packed;
  const std::vector<Window> windows = classes(s);
  Window columns{-kR1, 9, std::vector<double>(81)};  // those of conv1 itself
  for (int i = 0; i < 9; ++i) columns.weight[i * 9 + i] = 1;
  k.fold_taps = 0;
  for (const Window& y : windows) k.fold_taps = std::max(k.fold_taps, y.taps);
  for (size_t cy = 0; cy < windows.size(); ++cy) {
    const Window& y = windows[cy];
    k.fold_first[cy] = y.first;
    for (int px = 0; px < s; ++px) append(fold(w1, y, windows[px]), y, windows[px], k.fold_taps, k.fold_taps, out.fold);
    append(fold(w1, y, columns), y, columns, k.fold_taps, 9, out.half);
  }
  k.fold = out.fold.data();
  k.half = out.half.data();
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

  for (int p = 0; p < scale; ++p) {
    const Phase phase = up_phase(scale, p);
    k.up_first[p] = phase.first;
    for (int j = 0; j < 4; ++j) k.up[p][j] = static_cast<float>(phase.weight[j]);
  }
  pack_fold(weights.w1, scale, out);
}

void make_tables(int scale, int64_t h, int64_t w, int boundary, TableStorage& out) {
  const int taps = scale == 2 ? Filter<2>::kDownTaps : (scale == 3 ? Filter<3>::kDownTaps : Filter<4>::kDownTaps);
  const int reach = (taps - scale) / 2;
  const int64_t lh = h / scale, lw = w / scale;
  auto fill = [&](std::vector<int32_t>& index, int64_t count, int64_t first, int64_t n) {
    index.resize(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) index[i] = static_cast<int32_t>(border_index(first + i, n, boundary));
  };
  out.down_rows.resize(static_cast<size_t>(lh * taps));
  for (int64_t i = 0; i < lh; ++i)
    for (int j = 0; j < taps; ++j)
      out.down_rows[i * taps + j] = static_cast<int32_t>(border_index(scale * i - reach + j, h, boundary));
  fill(out.down_cols, w + 2 * reach, -reach, w);
  fill(out.lr_rows, lh + 2 * kUpPad, -kUpPad, lh);
  fill(out.lr_cols, lw + 2 * kUpPad, -kUpPad, lw);
  out.tables = {
      h, w, lh, lw, 0, h, 0, w, out.down_rows.data(), out.down_cols.data(), out.lr_rows.data(), out.lr_cols.data()};
}

ScratchStorage::ScratchStorage(const Packed& k, int64_t h, int64_t w) {
  const int64_t lh = h / k.scale, lw = w / k.scale;
  int64_t size = 0;
  auto round_up = [](int64_t n) { return (n + 63) / 64 * 64; };
  auto layout = [&](auto&& take) {
    Scratch& s = scratch;
    s.lr_stride = round_up(lw + 2 * kUpPad + kSlack);
    s.up_stride = round_up(w + 2 * kR1 + kSlack);
    s.h2_stride = round_up((w + 2 * kR3 + kSlack) * kC2);
    take(s.y, h * w);
    take(s.mid, w + 64);
    take(s.lr, lh * lw);
    take(s.lr_pad, s.lr_stride * (lh + 2 * kUpPad));
    take(s.edges, 2 * kEdge * (lh + 2 * kUpPad));
    take(s.up_mid, s.lr_stride);
    take(s.up_ring, s.up_stride * 9);
    take(s.out, w + kSlack);
    take(s.sr, w + kSlack);
    if (k.integer) {
      auto* lr_int = static_cast<int16_t*>(s.lr_int);
      take(lr_int, s.lr_stride * (lh + 2 * kUpPad));
      s.lr_int = lr_int;
      take(s.h1_int, 16 * kC1);
      take(s.h2_int, s.h2_stride * 5);
    }
    take(s.h1, 16 * kC1);
    take(s.h2_ring, s.h2_stride * 5);
  };
  layout([&](auto*& pointer, int64_t count) { size += round_up(count * static_cast<int64_t>(sizeof *pointer)); });
  memory_.assign(static_cast<size_t>(size) + 64, 0);
  unsigned char* p = memory_.data() + (64 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 64) % 64;
  layout([&](auto*& pointer, int64_t count) {
    pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(p);
    p += round_up(count * static_cast<int64_t>(sizeof *pointer));
  });
}

}  // namespace srfast
