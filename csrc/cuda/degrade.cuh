#pragma once
// d() of a score in one pass over device memory: RGB -> Y -> 8-bit LR, and where asked for the up-sampled plane and the
// sums of the bicubic and Sobel columns. One block makes one tile in shared memory; a patch of up to kMaxTile x
// kMaxTile is one tile and is read once. Larger images are cut into tiles that read a halo of 2 LR pixels and the
// filter's reach.
#include <cstdint>

#include "core/filter.h"
#include "core/luma.h"
#include "cuda/device.cuh"

namespace srfast {

constexpr int kMaxTile = 128;

struct DegradeArgs {
  const uint8_t* pixels;       // image i begins at offsets[i], its rows are row_strides[i] bytes apart
  const int64_t* offsets;      // [n], or null: images [n, h, w, channels] one after another
  const int64_t* row_strides;  // [n], or null with offsets
  int64_t n;
  int h, w, channels;  // h and w are multiples of the scale; channels 3 (RGB) or 1 (Y)
  int boundary;
  int tile_h, tile_w, tiles_y, tiles_x;  // multiples of the scale; tiles of one image
  uint8_t* y;                            // [n, h, w]
  uint8_t* lr;                           // [n, h / scale, w / scale]
  void* up;                              // [n, h, w] of T, in [0, 255] and a little beyond; or null
  double* sums;                          // [n, tiles, 2]: sum of (up - Y)^2, sum of 0.5 |Gx| + 0.5 |Gy|; or null
};

// One axis of a tile, each range cut at the image.
struct Span {
  int begin, end;        // HR, this tile's own
  int lr_begin, lr_end;  // LR, own and 2 more on each side
  int hr_begin, hr_end;  // HR that those LR pixels take

  SRFAST_HD bool owns(int hr) const { return hr >= begin && hr < end; }
};

template <int S>
SRFAST_HD Span make_span(int tile, int tile_size, int n) {
  auto least = [](int a, int b) { return a < b ? a : b; };
  auto most = [](int a, int b) { return a > b ? a : b; };
  Span s;
  s.begin = tile * tile_size;
  s.end = least(s.begin + tile_size, n);
  s.lr_begin = most(s.begin / S - 2, 0);
  s.lr_end = least(s.end / S + 2, n / S);
  s.hr_begin = most(S * s.lr_begin - Filter<S>::kReach, 0);
  s.hr_end = least(S * s.lr_end + Filter<S>::kReach, n);
  return s;
}

// Shared memory of a tile: offsets of the planes in bytes; Y is at 0.
struct Layout {
  int y_w, lr_h, lr_w;
  int rows;          // [lr_h, y_w] uint8: the row pass of the down-sampling
  int lr;            // [lr_h, lr_w] uint8
  int mid;           // [own HR rows, lr_w] int32: the row pass of the up-sampling
  int scratch, end;  // block_sum's
};

SRFAST_HD Layout make_layout(const Span& y, const Span& x) {
  auto aligned = [](int bytes) { return (bytes + 15) / 16 * 16; };
  Layout l;
  l.y_w = x.hr_end - x.hr_begin;
  l.lr_h = y.lr_end - y.lr_begin;
  l.lr_w = x.lr_end - x.lr_begin;
  l.rows = (y.hr_end - y.hr_begin) * l.y_w;
  l.lr = l.rows + l.lr_h * l.y_w;
  l.mid = aligned(l.lr + l.lr_h * l.lr_w);
  l.scratch = aligned(l.mid + 4 * (y.end - y.begin) * l.lr_w);
  l.end = l.scratch + 8 * (kThreads / kWarp);
  return l;
}

// body(row, column) for each cell of a grid: rows go to warps, columns to lanes. Not unrolled: one loop in the source
// is one in the machine code, where bench/roofline.py counts its instructions.
template <class Body>
SRFAST_DEVICE void each(int rows, int columns, Body body) {
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  SRFAST_UNROLL_1
  for (int row = static_cast<int>(threadIdx.x) / kWarp; row < rows; row += warps) {
    SRFAST_UNROLL_1
    for (int column = static_cast<int>(threadIdx.x) % kWarp; column < columns; column += kWarp) body(row, column);
  }
}

constexpr int kLoads = 3;  // pixels a lane has under way at once: a row of 96

// border_index() for an index at most 1.5 n (the down-sampling) or 2 (the up-sampling) outside 0..n-1, where three
// folds suffice: no division, no branch.
SRFAST_HD int outside(int i, int n, int boundary) {
  if (boundary == kReplicate) return i < 0 ? 0 : (i < n ? i : n - 1);
  int m = i < 0 ? -1 - i : i;
  m = m < n ? m : 2 * n - 1 - m;
  return m < 0 ? -1 - m : m;
}

SRFAST_HD int reflect101(int i, int n) {
  const int m = i < 0 ? -i : (i >= n ? 2 * (n - 1) - i : i);
  return m < 0 ? 0 : m;  // n = 1
}

SRFAST_HD int absolute(int x) { return x < 0 ? -x : x; }

// One block: tile blockIdx.x % tiles of image blockIdx.x / tiles. shared: make_layout(...).end bytes, 16-byte aligned.
template <int S, class T>
SRFAST_DEVICE void degrade_block(const DegradeArgs& a, unsigned char* shared) {
  using F = Filter<S>;
  const int tiles = a.tiles_y * a.tiles_x;
  const int64_t image = blockIdx.x / static_cast<unsigned>(tiles);
  const int tile = static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
  const Span sy = make_span<S>(tile / a.tiles_x, a.tile_h, a.h);
  const Span sx = make_span<S>(tile % a.tiles_x, a.tile_w, a.w);
  const Layout l = make_layout(sy, sx);
  uint8_t* const y = shared;
  uint8_t* const rows = shared + l.rows;
  uint8_t* const lr = shared + l.lr;
  int* const mid = reinterpret_cast<int*>(shared + l.mid);
  const int64_t first = image * a.h * a.w;

  const uint8_t* const source = a.pixels + (a.offsets ? a.offsets[image] : first * a.channels);
  const int64_t stride = a.offsets ? a.row_strides[image] : static_cast<int64_t>(a.w) * a.channels;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  each(sy.hr_end - sy.hr_begin, kWarp * ((l.y_w + kLoads * kWarp - 1) / (kLoads * kWarp)), [&](int r, int step) {
    const int row = sy.hr_begin + r, begin = (step - lane) * kLoads + lane;
    const uint8_t* const line = source + row * stride + sx.hr_begin * a.channels;
    uint32_t rgb[kLoads][3] = {};
    SRFAST_UNROLL
    for (int k = 0; k < kLoads; ++k) SRFAST_UNROLL
    for (int channel = 0; channel < 3; ++channel)
      if (begin + k * kWarp < l.y_w && channel < a.channels)
        rgb[k][channel] = read_only(line + (begin + k * kWarp) * a.channels + channel);
    SRFAST_UNROLL
    for (int k = 0; k < kLoads; ++k) {
      const int c = begin + k * kWarp, column = sx.hr_begin + c;
      if (c >= l.y_w) break;
      const auto value = static_cast<uint8_t>(a.channels == 3 ? luma(rgb[k][0], rgb[k][1], rgb[k][2]) : rgb[k][0]);
      y[r * l.y_w + c] = value;
      if (sy.owns(row) && sx.owns(column)) a.y[first + row * a.w + column] = value;
    }
  });
  __syncthreads();

  // Down-sampling: rows first, rounded to 8 bits, then columns.
  each(l.lr_h, l.y_w, [&](int r, int c) {
    const int top = S * (sy.lr_begin + r) - F::kReach;
    int sum = 0;
    SRFAST_UNROLL
    for (int k = 0; k < F::kDownTaps; ++k)
      sum += F::down(k) * y[(outside(top + k, a.h, a.boundary) - sy.hr_begin) * l.y_w + c];
    rows[r * l.y_w + c] = static_cast<uint8_t>(F::round_uint8(sum));
  });
  __syncthreads();
  each(l.lr_h, l.lr_w, [&](int r, int c) {
    const int row = sy.lr_begin + r, column = sx.lr_begin + c;
    const int left = S * column - F::kReach;
    int sum = 0;
    SRFAST_UNROLL
    for (int k = 0; k < F::kDownTaps; ++k)
      sum += F::down(k) * rows[r * l.y_w + outside(left + k, a.w, a.boundary) - sx.hr_begin];
    const auto value = static_cast<uint8_t>(F::round_uint8(sum));
    lr[r * l.lr_w + c] = value;
    if (sy.owns(S * row) && sx.owns(S * column)) a.lr[first / (S * S) + row * (a.w / S) + column] = value;
  });
  if (!a.up && !a.sums) return;
  __syncthreads();

  // Up-sampling: exact integers until the last division.
  each((sy.end - sy.begin) / S, l.lr_w, [&](int r, int c) {
    int value[F::kUpTaps];
    SRFAST_UNROLL
    for (int k = 0; k < F::kUpTaps; ++k)
      value[k] = lr[(outside(sy.begin / S + r - 2 + k, a.h / S, a.boundary) - sy.lr_begin) * l.lr_w + c];
    SRFAST_UNROLL
    for (int phase = 0; phase < S; ++phase) {
      int sum = 0;
      SRFAST_UNROLL
      for (int k = 0; k < F::kUpTaps; ++k) sum += F::up(phase, k) * value[k];
      mid[(S * r + phase) * l.lr_w + c] = sum;
    }
  });
  __syncthreads();
  float error = 0;
  each(sy.end - sy.begin, (sx.end - sx.begin) / S, [&](int r, int c) {
    const int row = sy.begin + r, column = sx.begin / S + c;
    int value[F::kUpTaps];
    SRFAST_UNROLL
    for (int k = 0; k < F::kUpTaps; ++k)
      value[k] = mid[r * l.lr_w + outside(column - 2 + k, a.w / S, a.boundary) - sx.lr_begin];
    SRFAST_UNROLL
    for (int phase = 0; phase < S; ++phase) {
      int sum = 0;
      SRFAST_UNROLL
      for (int k = 0; k < F::kUpTaps; ++k) sum += F::up(phase, k) * value[k];
      const float result = F::to_float(sum);
      if (a.up) static_cast<T*>(a.up)[first + row * a.w + S * column + phase] = narrow<T>(result);
      const float e = result - static_cast<float>(y[(row - sy.hr_begin) * l.y_w + S * column + phase - sx.hr_begin]);
      error += e * e;
    }
  });
  if (!a.sums) return;

  // |Gx| + |Gy|: 3 x 3 Sobel, reflect-101 at the border of the image; exact.
  int gradient = 0;
  each(sy.end - sy.begin, sx.end - sx.begin, [&](int r, int c) {
    const int row = sy.begin + r, column = sx.begin + c;
    const uint8_t* const top = y + (reflect101(row - 1, a.h) - sy.hr_begin) * l.y_w - sx.hr_begin;
    const uint8_t* const middle = y + (row - sy.hr_begin) * l.y_w - sx.hr_begin;
    const uint8_t* const bottom = y + (reflect101(row + 1, a.h) - sy.hr_begin) * l.y_w - sx.hr_begin;
    const int left = reflect101(column - 1, a.w), right = reflect101(column + 1, a.w);
    const int gx = top[right] - top[left] + 2 * (middle[right] - middle[left]) + bottom[right] - bottom[left];
    const int gy = bottom[left] + 2 * bottom[column] + bottom[right] - top[left] - 2 * top[column] - top[right];
    gradient += absolute(gx) + absolute(gy);
  });
  double* const scratch = reinterpret_cast<double*>(shared + l.scratch);
  const double errors = block_sum(error, scratch);
  const double gradients = block_sum(gradient, scratch);
  if (threadIdx.x == 0) {
    a.sums[2 * static_cast<int64_t>(blockIdx.x)] = errors;
    a.sums[2 * static_cast<int64_t>(blockIdx.x) + 1] = gradients / 2;
  }
}

// Tile sizes of an h x w image at scale S: the whole image where it fits, else equal parts.
template <int S>
SRFAST_HD void choose_tiles(DegradeArgs& a) {
  auto part = [](int n, int& tiles) {
    tiles = (n + kMaxTile - 1) / kMaxTile;
    const int size = (n + tiles * S - 1) / (tiles * S) * S;
    tiles = (n + size - 1) / size;
    return size;
  };
  a.tile_h = part(a.h, a.tiles_y);
  a.tile_w = part(a.w, a.tiles_x);
}

// Shared memory that the largest tile of an image takes.
template <int S>
SRFAST_HD int shared_bytes(const DegradeArgs& a) {
  int most = 0;
  for (int ty = 0; ty < a.tiles_y; ++ty)
    for (int tx = 0; tx < a.tiles_x; ++tx) {
      const Layout l = make_layout(make_span<S>(ty, a.tile_h, a.h), make_span<S>(tx, a.tile_w, a.w));
      const int bytes = a.up || a.sums ? l.end : l.mid;
      most = bytes > most ? bytes : most;
    }
  return most;
}

}  // namespace srfast
