#pragma once
// d() and the up-sampling of a score in one pass over device memory: RGB -> Y -> 8-bit LR -> up-sampled plane.
// One block makes one tile; a patch of up to kMaxTile x kMaxTile is one tile and is read exactly once. Larger images
// are cut into tiles that read a halo of up to 2 LR pixels and their filter's reach.
#include <cstdint>

#include "core/filter.h"
#include "cuda/device.cuh"

namespace srfast {

constexpr int kMaxTile = 128;
constexpr int kLoads = 3;  // groups of four pixels a thread loads before it works on them, of its 9 in a 96 x 96 patch

struct DegradeArgs {
  const uint8_t* patches;  // [n, h, w, channels], channels 3 (RGB) or 1 (Y)
  int64_t n;
  int h, w, channels;  // h and w are multiples of the scale, h * w * channels < 2^31
  int boundary;
  int tile_h, tile_w;    // multiples of the scale; of 4 as well where an image has several tiles
  int tiles_y, tiles_x;  // of one image
  bool words;            // w is a multiple of 4 and patches and y are 4-byte aligned: four pixels a load
  uint8_t* y;            // [n, h, w]
  uint8_t* lr;           // [n, h / scale, w / scale], or null
  void* up;              // [n, h, w] of T, in [0, 255] and a little beyond
  double* sums;          // [n, tiles, 2]: sum of (up - Y)^2, sum of 0.5 |Gx| + 0.5 |Gy|; or null
};

// One axis of a tile: own HR pixels, LR pixels with halo, HR pixels with halo.
struct Span {
  int begin, end;        // HR, this tile's own
  int lr_begin, lr_end;  // LR, own plus 2 on each side, cut at the image
  int hr_begin, hr_end;  // HR that those LR pixels take, cut at the image; rounded out to multiples of 4

  SRFAST_HD bool owns(int hr) const { return static_cast<unsigned>(hr - begin) < static_cast<unsigned>(end - begin); }
};

template <int S>
SRFAST_HD Span make_span(int tile, int tile_size, int n) {
  Span s;
  s.begin = tile * tile_size;
  s.end = s.begin + tile_size < n ? s.begin + tile_size : n;
  s.lr_begin = s.begin / S - 2 > 0 ? s.begin / S - 2 : 0;
  s.lr_end = s.end / S + 2 < n / S ? s.end / S + 2 : n / S;
  const int first = S * s.lr_begin - Filter<S>::kReach;
  const int last = S * s.lr_end + Filter<S>::kReach;
  s.hr_begin = first > 0 ? first / 4 * 4 : 0;
  s.hr_end = last < n ? (last + 3) / 4 * 4 : n;
  if (s.hr_end > n) s.hr_end = n;
  return s;
}

// Shared memory of a tile: Y, the row pass and LR in bytes, the row pass of the up-sampling in 32-bit integers.
struct Layout {
  int pitch;                          // of Y and rows, a multiple of 4
  int lr_pitch;                       // of lr and mid
  int rows, lr, mid, scratch, bytes;  // offsets; Y is at 0
};

SRFAST_HD Layout make_layout(const Span& y, const Span& x) {
  Layout l;
  const int lr_h = y.lr_end - y.lr_begin;
  l.pitch = (x.hr_end - x.hr_begin + 3) / 4 * 4;
  l.lr_pitch = x.lr_end - x.lr_begin;
  l.rows = (y.hr_end - y.hr_begin) * l.pitch;
  l.lr = l.rows + lr_h * l.pitch;
  l.mid = (l.lr + lr_h * l.lr_pitch + 15) / 16 * 16;
  l.scratch = (l.mid + 4 * (y.end - y.begin) * l.lr_pitch + 15) / 16 * 16;
  l.bytes = l.scratch + 8 * (kThreads / kWarp);
  return l;
}

// Cells of a [rows, cols] grid, cell threadIdx.x first, blockDim.x apart; one division a grid instead of one a cell.
struct Walk {
  int row, col, rows, cols, row_step, col_step;
  SRFAST_DEVICE Walk(int rows_, int cols_) : rows(rows_), cols(cols_) {
    const int thread = static_cast<int>(threadIdx.x);
    const int threads = static_cast<int>(blockDim.x);
    row = thread / cols;
    col = thread % cols;
    row_step = threads / cols;
    col_step = threads % cols;
  }
  SRFAST_DEVICE bool inside() const { return row < rows; }
  SRFAST_DEVICE void next() {
    row += row_step;
    col += col_step;
    if (col >= cols) {
      col -= cols;
      ++row;
    }
  }
};

template <class T, int S>
struct alignas(S == 3 ? sizeof(T) : S * sizeof(T)) Run {
  T value[S];
};

// Calls body(index) with index(k) = first + k where all `taps` positions lie in 0..n-1, else with border_index applied:
// one comparison an output instead of one a tap.
template <class Body>
SRFAST_DEVICE void with_taps(int first, int taps, int n, int boundary, Body body) {
  if (first >= 0 && first + taps <= n)
    body([=](int k) { return first + k; });
  else
    body([=](int k) { return border(first + k, n, boundary); });
}

SRFAST_DEVICE uint32_t byte_of(uint32_t word, int i) { return word >> (8 * i) & 255u; }

// Phase 1: Y of the tile and its halo into shared memory; the tile's own pixels to args.y.
SRFAST_DEVICE void load_luma(const DegradeArgs& a, int64_t image, const Span& sy, const Span& sx, int pitch,
                             uint8_t* y) {
  const uint8_t* const source = a.patches + image * a.h * a.w * a.channels;
  uint8_t* const target = a.y + image * a.h * a.w;
  const int height = sy.hr_end - sy.hr_begin;
  if (a.words) {
    for (Walk i(height, (sx.hr_end - sx.hr_begin) / 4); i.inside();) {
      // All loads of a batch stand before the first store, which the compiler must take for one to the same address.
      uint32_t raw[kLoads][3] = {};
      int rows[kLoads], cols[kLoads];
      SRFAST_UNROLL
      for (int k = 0; k < kLoads; ++k) {
        rows[k] = i.row;
        cols[k] = 4 * i.col;
        if (i.inside()) {
          const int pixel = (sy.hr_begin + i.row) * a.w + sx.hr_begin + 4 * i.col;
          const uint32_t* group = reinterpret_cast<const uint32_t*>(source + pixel * a.channels);
          raw[k][0] = group[0];
          if (a.channels == 3) {
            raw[k][1] = group[1];
            raw[k][2] = group[2];
          }
        }
        i.next();
      }
      SRFAST_UNROLL
      for (int k = 0; k < kLoads; ++k) {
        if (rows[k] >= height) break;
        const uint32_t p = raw[k][0], q = raw[k][1], r = raw[k][2];
        const uint32_t word = a.channels == 1 ? p
                                              : luma(byte_of(p, 0), byte_of(p, 1), byte_of(p, 2)) |
                                                    luma(byte_of(p, 3), byte_of(q, 0), byte_of(q, 1)) << 8 |
                                                    luma(byte_of(q, 2), byte_of(q, 3), byte_of(r, 0)) << 16 |
                                                    luma(byte_of(r, 1), byte_of(r, 2), byte_of(r, 3)) << 24;
        *reinterpret_cast<uint32_t*>(y + rows[k] * pitch + cols[k]) = word;
        const int row = sy.hr_begin + rows[k], col = sx.hr_begin + cols[k];
        if (sy.owns(row) && sx.owns(col)) *reinterpret_cast<uint32_t*>(target + (row * a.w + col)) = word;
      }
    }
    return;
  }
  // Columns up to the pitch repeat the last one: the row pass reads whole words.
  for (Walk i(height, pitch); i.inside(); i.next()) {
    const int row = sy.hr_begin + i.row;
    const int col = sx.hr_begin + i.col < sx.hr_end ? sx.hr_begin + i.col : sx.hr_end - 1;
    const uint8_t* p = source + (row * a.w + col) * a.channels;
    const uint8_t value = static_cast<uint8_t>(a.channels == 3 ? luma(p[0], p[1], p[2]) : p[0]);
    y[i.row * pitch + i.col] = value;
    if (sy.owns(row) && sx.owns(sx.hr_begin + i.col)) target[row * a.w + col] = value;
  }
}

// Phase 2: the row pass of the down-sampling, four columns at a time, rounded to uint8.
template <int S>
SRFAST_DEVICE void shrink_rows(const DegradeArgs& a, const Span& sy, int pitch, const uint8_t* y, uint8_t* out) {
  using F = Filter<S>;
  for (Walk i(sy.lr_end - sy.lr_begin, pitch / 4); i.inside(); i.next()) {
    const int top = S * (sy.lr_begin + i.row) - F::kReach;
    const uint8_t* const column = y + 4 * i.col - sy.hr_begin * pitch;
    int sum[4] = {};
    with_taps(top, F::kDownTaps, a.h, a.boundary, [&](auto row) {
      SRFAST_UNROLL
      for (int k = 0; k < F::kDownTaps; ++k) {
        const uint32_t word = *reinterpret_cast<const uint32_t*>(column + row(k) * pitch);
        SRFAST_UNROLL
        for (int c = 0; c < 4; ++c) sum[c] += F::down(k) * static_cast<int>(byte_of(word, c));
      }
    });
    uint32_t word = 0;
    SRFAST_UNROLL
    for (int c = 0; c < 4; ++c) word |= F::round_uint8(sum[c]) << (8 * c);
    *reinterpret_cast<uint32_t*>(out + i.row * pitch + 4 * i.col) = word;
  }
}

// Phase 3: the column pass of the down-sampling; the tile's own LR pixels to args.lr.
template <int S>
SRFAST_DEVICE void shrink_columns(const DegradeArgs& a, int64_t image, const Span& sy, const Span& sx, const Layout& l,
                                  const uint8_t* rows, uint8_t* lr) {
  using F = Filter<S>;
  for (Walk i(sy.lr_end - sy.lr_begin, l.lr_pitch); i.inside(); i.next()) {
    const int row = sy.lr_begin + i.row;
    const int col = sx.lr_begin + i.col;
    const uint8_t* const line = rows + i.row * l.pitch - sx.hr_begin;
    int sum = 0;
    with_taps(S * col - F::kReach, F::kDownTaps, a.w, a.boundary, [&](auto x) {
      SRFAST_UNROLL
      for (int k = 0; k < F::kDownTaps; ++k) sum += F::down(k) * line[x(k)];
    });
    const uint8_t value = static_cast<uint8_t>(F::round_uint8(sum));
    lr[i.row * l.lr_pitch + i.col] = value;
    if (a.lr && row >= sy.begin / S && row < sy.end / S && col >= sx.begin / S && col < sx.end / S)
      a.lr[(image * (a.h / S) + row) * (a.w / S) + col] = value;
  }
}

// Phase 4: the row pass of the up-sampling, S rows of integers an LR pixel.
template <int S>
SRFAST_DEVICE void grow_rows(const DegradeArgs& a, const Span& sy, const Layout& l, const uint8_t* lr, int* mid) {
  using F = Filter<S>;
  for (Walk i((sy.end - sy.begin) / S, l.lr_pitch); i.inside(); i.next()) {
    const uint8_t* const column = lr + i.col - sy.lr_begin * l.lr_pitch;
    int value[F::kUpTaps];
    with_taps(sy.begin / S + i.row - 2, F::kUpTaps, a.h / S, a.boundary, [&](auto row) {
      SRFAST_UNROLL
      for (int k = 0; k < F::kUpTaps; ++k) value[k] = column[row(k) * l.lr_pitch];
    });
    SRFAST_UNROLL
    for (int phase = 0; phase < S; ++phase) {
      int sum = 0;
      SRFAST_UNROLL
      for (int k = 0; k < F::kUpTaps; ++k) sum += F::up(phase, k) * value[k];
      mid[(S * i.row + phase) * l.lr_pitch + i.col] = sum;
    }
  }
}

// Phase 5: the column pass of the up-sampling, two LR pixels a step: six loads for 2 S pixels, S pixels a store.
// Returns this thread's part of sum (up - Y)^2.
template <int S, class T>
SRFAST_DEVICE float grow_columns(const DegradeArgs& a, int64_t image, const Span& sy, const Span& sx, const Layout& l,
                                 const int* mid, const uint8_t* y) {
  using F = Filter<S>;
  float error = 0;
  T* const up = static_cast<T*>(a.up) + image * a.h * a.w;
  const int end = sx.end / S;
  for (Walk i(sy.end - sy.begin, (end - sx.begin / S + 1) / 2); i.inside(); i.next()) {
    const int row = sy.begin + i.row;
    const int col = sx.begin / S + 2 * i.col;
    const int* const line = mid + i.row * l.lr_pitch - sx.lr_begin;
    const int last = sx.lr_end - 1;  // of a lone last pixel's neighbour nothing is used
    int value[F::kUpTaps + 1];
    with_taps(col - 2, F::kUpTaps + 1, a.w / S, a.boundary, [&](auto x) {
      SRFAST_UNROLL
      for (int k = 0; k < F::kUpTaps + 1; ++k) value[k] = line[x(k) < last ? x(k) : last];
    });
    const uint8_t* const truth = y + (row - sy.hr_begin) * l.pitch + S * col - sx.hr_begin;
    SRFAST_UNROLL
    for (int pixel = 0; pixel < 2; ++pixel) {
      if (col + pixel >= end) break;
      Run<T, S> run;
      SRFAST_UNROLL
      for (int phase = 0; phase < S; ++phase) {
        int sum = 0;
        SRFAST_UNROLL
        for (int k = 0; k < F::kUpTaps; ++k) sum += F::up(phase, k) * value[pixel + k];
        const float result = F::to_float(sum);
        run.value[phase] = narrow<T>(result);
        if (a.sums) {
          const float e = result - static_cast<float>(truth[S * pixel + phase]);
          error += e * e;
        }
      }
      *reinterpret_cast<Run<T, S>*>(up + (row * a.w + S * (col + pixel))) = run;
    }
  }
  return error;
}

SRFAST_HD int reflect101(int i, int n) {
  const int m = i < 0 ? -i : (i >= n ? 2 * (n - 1) - i : i);
  return m < 0 ? 0 : m;  // n = 1
}

SRFAST_HD int absolute(int x) { return x < 0 ? -x : x; }

// |Gx| + |Gy| at one pixel: 3 x 3 Sobel, reflect-101 at the border of the image.
SRFAST_DEVICE int sobel_at(const DegradeArgs& a, const Span& sy, const Span& sx, int pitch, const uint8_t* y, int row,
                           int col) {
  const uint8_t* const top = y + (reflect101(row - 1, a.h) - sy.hr_begin) * pitch;
  const uint8_t* const middle = y + (row - sy.hr_begin) * pitch;
  const uint8_t* const bottom = y + (reflect101(row + 1, a.h) - sy.hr_begin) * pitch;
  const int left = reflect101(col - 1, a.w) - sx.hr_begin;
  const int here = col - sx.hr_begin;
  const int right = reflect101(col + 1, a.w) - sx.hr_begin;
  const int gx = top[right] - top[left] + 2 * (middle[right] - middle[left]) + bottom[right] - bottom[left];
  const int gy = bottom[left] + 2 * bottom[here] + bottom[right] - top[left] - 2 * top[here] - top[right];
  return absolute(gx) + absolute(gy);
}

// This thread's part of sum |Gx| + |Gy|, exact; four pixels of a row at a time.
SRFAST_DEVICE int sobel_sum(const DegradeArgs& a, const Span& sy, const Span& sx, int pitch, const uint8_t* y) {
  int sum = 0;
  for (Walk i(sy.end - sy.begin, (sx.end - sx.begin + 3) / 4); i.inside(); i.next()) {
    const int row = sy.begin + i.row;
    const int col = sx.begin + 4 * i.col;
    if (row == 0 || row == a.h - 1 || col == 0 || col + 4 > sx.end || col + 4 >= a.w) {
      for (int c = col; c < col + 4 && c < sx.end; ++c) sum += sobel_at(a, sy, sx, pitch, y, row, c);
      continue;
    }
    // Columns col - 1 .. col + 4: sum = top + 2 middle + bottom, difference = bottom - top.
    int smooth[6] = {}, difference[6] = {};
    SRFAST_UNROLL
    for (int k = 0; k < 3; ++k) {
      const uint8_t* const line = y + (row - 1 + k - sy.hr_begin) * pitch + col - sx.hr_begin;
      const uint32_t left = *reinterpret_cast<const uint32_t*>(line - 4);
      const uint32_t here = *reinterpret_cast<const uint32_t*>(line);
      const uint32_t right = *reinterpret_cast<const uint32_t*>(line + 4);
      SRFAST_UNROLL
      for (int c = 0; c < 6; ++c) {
        const uint32_t byte = c == 0 ? byte_of(left, 3) : c == 5 ? byte_of(right, 0) : byte_of(here, c - 1);
        const int value = static_cast<int>(byte);
        smooth[c] += k == 1 ? 2 * value : value;
        difference[c] += (k - 1) * value;
      }
    }
    SRFAST_UNROLL
    for (int c = 1; c < 5; ++c)
      sum +=
          absolute(smooth[c + 1] - smooth[c - 1]) + absolute(difference[c - 1] + 2 * difference[c] + difference[c + 1]);
  }
  return sum;
}

// One block: tile blockIdx.x % tiles of image blockIdx.x / tiles. shared: make_layout(...).bytes, 16-byte aligned.
template <int S, class T>
SRFAST_DEVICE void degrade_block(const DegradeArgs& a, unsigned char* shared) {
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

  load_luma(a, image, sy, sx, l.pitch, y);
  __syncthreads();
  shrink_rows<S>(a, sy, l.pitch, y, rows);
  __syncthreads();
  shrink_columns<S>(a, image, sy, sx, l, rows, lr);
  __syncthreads();
  grow_rows<S>(a, sy, l, lr, mid);
  __syncthreads();
  const float error = grow_columns<S, T>(a, image, sy, sx, l, mid, y);
  if (!a.sums) return;
  double* const scratch = reinterpret_cast<double*>(shared + l.scratch);
  const double errors = block_sum(error, scratch);
  const double gradients = block_sum(sobel_sum(a, sy, sx, l.pitch, y), scratch);
  if (threadIdx.x == 0) {
    a.sums[2 * static_cast<int64_t>(blockIdx.x)] = errors;
    a.sums[2 * static_cast<int64_t>(blockIdx.x) + 1] = gradients / 2;
  }
}

// Tile sizes of an h x w image at scale S: the whole image where it fits, else equal parts.
template <int S>
SRFAST_HD void choose_tiles(DegradeArgs& a) {
  const int step = S == 3 ? 12 : 4;
  a.tiles_y = (a.h + kMaxTile - 1) / kMaxTile;
  a.tiles_x = (a.w + kMaxTile - 1) / kMaxTile;
  a.tile_h = a.tiles_y == 1 ? a.h : (a.h + a.tiles_y * step - 1) / (a.tiles_y * step) * step;
  a.tile_w = a.tiles_x == 1 ? a.w : (a.w + a.tiles_x * step - 1) / (a.tiles_x * step) * step;
  a.tiles_y = (a.h + a.tile_h - 1) / a.tile_h;
  a.tiles_x = (a.w + a.tile_w - 1) / a.tile_w;
}

// Shared memory that the largest tile of an image takes.
template <int S>
SRFAST_HD int shared_bytes(const DegradeArgs& a) {
  int most = 0;
  for (int ty = 0; ty < a.tiles_y; ++ty)
    for (int tx = 0; tx < a.tiles_x; ++tx) {
      const Layout l = make_layout(make_span<S>(ty, a.tile_h, a.h), make_span<S>(tx, a.tile_w, a.w));
      most = l.bytes > most ? l.bytes : most;
    }
  return most;
}

}  // namespace srfast
