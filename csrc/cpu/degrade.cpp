// Degradations of images, planes of float32 in grey levels: filters, resizing, noise, sharpening. All results are the
// same at any number of threads and with any instruction set.
#include "cpu/degrade.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "core/api.h"
#include "cpu/degrade_taps.h"
#include "cpu/threads.h"

namespace srfast {

namespace {

const DegradeLoops& loops(int isa) {
#ifdef SRFAST_X86
  if (isa == kAvx512) return degrade_loops_avx512;
  if (isa == kAvx2) return degrade_loops_avx2;
#endif
  (void)isa;
  return degrade_loops_baseline;
}

constexpr int64_t kBand = 32;   // rows that a thread takes at a time
constexpr int64_t kLines = 64;  // rows that are turned over together, so that a pass along them runs along memory
constexpr int64_t kAThread = 1 << 14;  // pixels of which one core does enough for a thread
constexpr int64_t kKept = 1 << 20;     // pixels of the largest planes that a thread keeps between calls

// Position of the pixel that stands at position i outside 0..n-1: mirrored at the centre of the edge pixels.
int64_t reflected(int64_t i, int64_t n) {
  if (n == 1) return 0;
  const int64_t period = 2 * (n - 1);
  i %= period;
  if (i < 0) i += period;
  return i < n ? i : period - i;
}

void reflect_row(const float* row, int64_t w, int64_t before, int64_t after, float* out) {
  for (int64_t x = -before; x < 0; ++x) out[x + before] = row[reflected(x, w)];
  std::memcpy(out + before, row, static_cast<size_t>(w) * sizeof(float));
  for (int64_t x = w; x < w + after; ++x) out[x + before] = row[reflected(x, w)];
}

// Memory of one thread, which its bands and later calls use again: fresh memory costs page faults.
class Scratch {
 public:
  float* take(int slot, int64_t count) {
    if (sizes_[slot] < count) {
      of_[slot] = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(count));
      sizes_[slot] = count;
    }
    return of_[slot].get();
  }

 private:
  std::unique_ptr<float[]> of_[4];
  int64_t sizes_[4] = {};
};

// Calls body(plane, first, last, scratch) for the bands of rows of all planes.
template <class F>
void bands(int64_t planes, int64_t h, int64_t w, int64_t rows, int threads, F&& body) {
  const int64_t a_plane = (h + rows - 1) / rows;
  std::atomic<int64_t> next{0};
  run_workers(std::max<int64_t>(1, worth(threads, planes * h * w, kAThread)), [&] {
    static thread_local Scratch scratch;
    for (int64_t i; (i = next.fetch_add(1)) < planes * a_plane;) {
      const int64_t first = i % a_plane * rows;
      body(i / a_plane, first, std::min(h, first + rows), scratch);
    }
  });
}

typedef float Four __attribute__((vector_size(16)));

// A square of 4 x 4.
void turn_square(const float* src, int64_t src_stride, float* dst, int64_t dst_stride) {
  Four r[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&r[i], src + i * src_stride, sizeof r[i]);
  const Four a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
  const Four c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  const Four turned[4] = {__builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
                          __builtin_shufflevector(c, d, 0, 1, 4, 5), __builtin_shufflevector(c, d, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(dst + i * dst_stride, &turned[i], sizeof turned[i]);
}

// src [rows, cols] -> dst [cols, rows], in squares that fit a few cache lines.
void turn(const float* src, int64_t src_stride, int64_t rows, int64_t cols, float* dst, int64_t dst_stride) {
  constexpr int64_t block = 16;
  const int64_t whole_rows = rows / 4 * 4, whole_cols = cols / 4 * 4;
  for (int64_t c0 = 0; c0 < whole_cols; c0 += block)
    for (int64_t r0 = 0; r0 < whole_rows; r0 += block)
      for (int64_t c = c0; c < std::min(whole_cols, c0 + block); c += 4)
        for (int64_t r = r0; r < std::min(whole_rows, r0 + block); r += 4)
          turn_square(src + r * src_stride + c, src_stride, dst + c * dst_stride + r, dst_stride);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < whole_rows ? whole_cols : 0; c < cols; ++c) dst[c * dst_stride + r] = src[r * src_stride + c];
}

}  // namespace

void degrade_filter_cpu(const Planes& src, const float* kernel, int kh, int kw, int isa, int threads, float* dst) {
  const DegradeLoops& f = loops(isa);
  const int64_t h = src.h, w = src.w, above = kh / 2, left = kw / 2;
  const int64_t wide = (w + kFilterColumns - 1) / kFilterColumns * kFilterColumns, stride = wide + kw - 1;
  constexpr int64_t more = kFilterRows - 1;
  std::vector<float> ext(static_cast<size_t>((kh + 2 * more) * kw));
  std::copy(kernel, kernel + kh * kw, ext.data() + more * kw);
  bands(src.n, h, w, kBand, threads, [&](int64_t plane, int64_t first, int64_t last, Scratch& scratch) {
    const float* const from = src.values + plane * h * w;
    float* const to = dst + plane * h * w;
    const int64_t rows = last - first + kh - 1 + more;
    float* const padded = scratch.take(0, (kBand + kh - 1 + more) * stride);
    float* const out = scratch.take(1, kFilterRows * kFilterBlock);
    for (int64_t r = 0; r < rows; ++r)
      reflect_row(from + reflected(first + r - above, h) * w, w, left, stride - w - left, padded + r * stride);
    for (int64_t x = 0; x < wide; x += kFilterBlock)
      for (int64_t y = first; y < last; y += kFilterRows) {
        f.filter_rows(padded + (y - first) * stride + x, stride, ext.data(), kh, kw, std::min(kFilterBlock, wide - x),
                      out, kFilterBlock);
        for (int64_t r = 0; r < std::min(kFilterRows, last - y); ++r)
          std::copy_n(out + r * kFilterBlock, std::min(kFilterBlock, w - x), to + (y + r) * w + x);
      }
  });
}

void degrade_separable_cpu(const Planes& src, const float* column, int kh, const float* row, int kw, int isa,
                           int threads, float* dst) {
  const DegradeLoops& f = loops(isa);
  constexpr int64_t more = kFilterRows - 1;
  const int64_t h = src.h, w = src.w, above = kh / 2, left = kw / 2, lines = (w + more) / kFilterRows * kFilterRows;
  const int64_t wide = (w + kFilterColumns - 1) / kFilterColumns * kFilterColumns;
  std::vector<float> down(static_cast<size_t>(kh + 2 * more)), across(static_cast<size_t>(kw + 2 * more));
  std::copy(column, column + kh, down.data() + more);
  std::copy(row, row + kw, across.data() + more);
  bands(src.n, h, w, kLines, threads, [&](int64_t plane, int64_t first, int64_t last, Scratch& scratch) {
    const float* const from = src.values + plane * h * w;
    const int64_t n = last - first, rows = kLines + kh - 1 + more, turned_rows = lines + kw - 1 + more;
    const int64_t columns = (n + kFilterColumns - 1) / kFilterColumns * kFilterColumns;
    float *const padded = scratch.take(0, rows * wide), *const sums = scratch.take(1, kLines * wide);
    float *const turned = scratch.take(2, turned_rows * kLines), *const out = scratch.take(3, lines * kLines);
    for (int64_t r = 0; r < n + kh - 1; ++r)
      std::copy_n(from + reflected(first + r - above, h) * w, w, padded + r * wide);
    // What stands beyond is multiplied by 0: of another band it could be infinite.
    std::fill(padded + (n + kh - 1) * wide, padded + std::min(rows, n + kh - 1 + 2 * more) * wide, 0.0f);
    for (int64_t x = 0; x < wide; x += kFilterBlock)
      for (int64_t y = 0; y < n; y += kFilterRows)
        f.filter_rows(padded + y * wide + x, wide, down.data(), kh, 1, std::min(kFilterBlock, wide - x),
                      sums + y * wide + x, wide);
    // Turned over, a pass along rows is one along columns: four results share what they load.
    turn(sums, wide, n, w, turned + left * kLines, kLines);
    for (int64_t x = 0; x < kw - 1; ++x) {
      const int64_t at = x < left ? x - left : w + x - left;
      std::copy_n(turned + (left + reflected(at, w)) * kLines, kLines, turned + (left + at) * kLines);
    }
    std::fill(turned + (w + kw - 1) * kLines, turned + turned_rows * kLines, 0.0f);
    for (int64_t x = 0; x < w; x += kFilterRows)
      f.filter_rows(turned + x * kLines, kLines, across.data(), kw, 1, columns, out + x * kLines, kLines);
    turn(out, kLines, w, n, dst + (plane * h + first) * w, w);
  });
}

void degrade_resize_cpu(const Planes& src, int filter, bool antialias, double step_y, double step_x, int64_t out_h,
                        int64_t out_w, int isa, int threads, float* dst) {
  const DegradeLoops& f = loops(isa);
  const int64_t h = src.h, w = src.w;
  const ResizeTaps down = resize_taps(h, out_h, step_y, filter, antialias);
  const ResizeTaps across = resize_taps(w, out_w, step_x, filter, antialias);
  bands(src.n, out_h, std::max(w, out_w), kLines, threads, [&](int64_t plane, int64_t first, int64_t last, Scratch& s) {
    const float* const from = src.values + plane * h * w;
    const int64_t n = last - first;
    float *const lines = s.take(0, n * w), *const turned = s.take(1, w * kLines),
                 *const out = s.take(2, out_w * kLines);
    std::vector<const float*> rows(static_cast<size_t>(std::max(down.most, across.most)));
    for (int64_t y = 0; y < n; ++y) {
      const auto [index, weights, taps] = down.of(first + y);
      for (int k = 0; k < taps; ++k) rows[static_cast<size_t>(k)] = from + index[k] * w;
      f.weighted_rows(rows.data(), weights, taps, w, lines + y * w);
    }
    turn(lines, w, n, w, turned, kLines);
    for (int64_t x = 0; x < out_w; ++x) {
      const auto [index, weights, taps] = across.of(x);
      for (int k = 0; k < taps; ++k) rows[static_cast<size_t>(k)] = turned + index[k] * kLines;
      f.weighted_rows(rows.data(), weights, taps, n, out + x * kLines);
    }
    turn(out, kLines, out_w, n, dst + (plane * out_h + first) * out_w, out_w);
  });
}

void degrade_noise_cpu(const Planes& src, bool poisson, float strength, bool gray, const uint32_t* key, uint32_t slot,
                       int isa, int threads, float* dst) {
  const DegradeLoops& f = loops(isa);
  const NormalTable& normal = normal_table();
  const PoissonTable& counts = poisson_table();
  const int64_t planes = src.n, h = src.h, w = src.w, groups = (w + kNoiseBlock - 1) / kNoiseBlock;
  bands(gray ? 1 : planes, h, w, kBand, threads, [&](int64_t plane, int64_t first, int64_t last, Scratch&) {
    uint32_t words[kNoiseBlock];
    float noise[kNoiseBlock], levels[kNoiseBlock];
    for (int64_t y = first; y < last; ++y)
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t x = g * kNoiseBlock, n = std::min(kNoiseBlock, w - x);
        const int64_t block = ((plane * h + y) * groups + g) * 16;
        f.words(key, key + 2, slot, static_cast<uint32_t>(block), words);
        const int64_t begin = (plane * h + y) * w + x;
        const float* const at = src.values + begin;
        if (poisson) {
          std::fill(levels, levels + kNoiseBlock, 0.0f);
          if (gray && planes == 3) {
            const float *const green = at + h * w, *const blue = green + h * w;
            for (int64_t j = 0; j < n; ++j) levels[j] = 0.2989f * at[j] + 0.587f * green[j] + 0.114f * blue[j];
          } else {
            std::copy(at, at + n, levels);
          }
          f.poissons(counts, words, levels, kNoiseBlock, noise);
        } else {
          f.normals(normal, words, kNoiseBlock, noise);
        }
        for (int64_t p = 0; p < (gray ? planes : 1); ++p) {
          float* const to = dst + begin + p * h * w;
          if (dst != src.values) std::copy_n(at + p * h * w, n, to);
          f.add_noise(noise, strength, n, to);
        }
      }
  });
}

void degrade_unsharp_cpu(const Planes& src, const float* row, int taps, float amount, float threshold, int isa,
                         int threads, float* dst) {
  const DegradeLoops& f = loops(isa);
  const int64_t n = src.h * src.w;
  static thread_local Scratch kept;
  Scratch fresh;
  Scratch& scratch = n <= kKept ? kept : fresh;
  float *const blurred = scratch.take(0, n), *const soft = scratch.take(1, n);
  for (int64_t p = 0; p < src.n; ++p, dst += n) {
    const float* const from = src.values + p * n;
    degrade_separable_cpu({from, 1, src.h, src.w}, row, taps, row, taps, isa, threads, blurred);
    f.differs(from, blurred, threshold, n, soft);
    degrade_separable_cpu({soft, 1, src.h, src.w}, row, taps, row, taps, isa, threads, dst);
    f.sharpen(from, blurred, amount, n, dst);
  }
}

void degrade_thick_lines_cpu(const Planes& src, int threads, float* dst) {
  const int64_t h = src.h, w = src.w;
  bands(src.n, h, w, kBand, threads, [&](int64_t plane, int64_t first, int64_t last, Scratch&) {
    std::vector<float> least(static_cast<size_t>(w));
    for (int64_t y = first; y < last; ++y) {
      const float* const row = src.values + (plane * h + y) * w;
      std::copy(row, row + w, least.data());
      for (int64_t other : {std::max<int64_t>(y - 1, 0), std::min(y + 1, h - 1)})
        for (int64_t x = 0; x < w; ++x)
          least[static_cast<size_t>(x)] =
              std::min(least[static_cast<size_t>(x)], src.values[(plane * h + other) * w + x]);
      for (int64_t x = 0; x < w; ++x) {
        const float m = std::min({least[static_cast<size_t>(std::max<int64_t>(x - 1, 0))],
                                  least[static_cast<size_t>(x)], least[static_cast<size_t>(std::min(x + 1, w - 1))]});
        dst[(plane * h + y) * w + x] = row[x] * 0.75f + m * 0.25f;
      }
    }
  });
}

void degrade_planes_cpu(const Image& src, float* dst) {
  for (int64_t y = 0; y < src.h; ++y)
    for (int c = 0; c < src.channels; ++c) {
      const uint8_t* const from = src.at(y, 0) + c;
      float* const to = dst + (c * src.h + y) * src.w;
      for (int64_t x = 0; x < src.w; ++x) to[x] = static_cast<float>(from[x * src.channels]);
    }
}

void degrade_bytes_cpu(const Planes& src, uint8_t* dst) {
  for (int64_t y = 0; y < src.h; ++y)
    for (int64_t c = 0; c < src.n; ++c) {
      const float* const from = src.values + (c * src.h + y) * src.w;
      uint8_t* const to = dst + y * src.w * src.n + c;
      for (int64_t x = 0; x < src.w; ++x) {
        float v = from[x] > 0.0f ? from[x] : 0.0f;
        v = v < 255.0f ? v : 255.0f;
        to[x * src.n] = static_cast<uint8_t>(static_cast<int32_t>(v + 0.5f));
      }
    }
}

void random_words_cpu(const uint32_t* key, uint32_t slot, int64_t groups, uint32_t* out) {
  for (int64_t g = 0; g < groups; ++g)
    degrade_loops_baseline.words(key, key + 2, slot, static_cast<uint32_t>(g * 16), out + g * kNoiseBlock);
}

}  // namespace srfast
