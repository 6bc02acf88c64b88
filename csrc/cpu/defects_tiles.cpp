// Tiles of 8 x 8 pixels and what is measured in each. All sums are of integers.
#include <algorithm>
#include <bit>
#include <cstring>

#include "cpu/clones.h"
#include "cpu/defects.h"

namespace srfast {

namespace {

constexpr int64_t kRow = kChunk + 32;
using Row = int16_t[kRow];
using Sums = int32_t[kRow];

// Differences of neighbours along a row; what lies past the tile is computed and not used.
SRFAST_CLONES void difference(const int16_t* __restrict a, int16_t* __restrict d, int64_t n) {
  for (int64_t x = 0; x < n; ++x) d[x] = static_cast<int16_t>(a[x + 1] - a[x]);
}

SRFAST_CLONES void subtract(const int16_t* a, const int16_t* b, int16_t* d, int64_t n) {
  for (int64_t x = 0; x < n; ++x) d[x] = static_cast<int16_t>(a[x] - b[x]);
}

SRFAST_CLONES void add_squares(const int16_t* __restrict d, int32_t* __restrict sums, int64_t n) {
  for (int64_t x = 0; x < n; ++x) sums[x] += static_cast<int32_t>(d[x]) * d[x];
}

SRFAST_CLONES void load_rgb(const uint8_t* __restrict p, int16_t* __restrict y, int16_t* __restrict c,
                            int16_t* __restrict clipped, int64_t n) {
  for (int64_t x = 0; x < n; ++x) {
    const int r = p[3 * x], g = p[3 * x + 1], b = p[3 * x + 2];
    y[x] = static_cast<int16_t>(jfif_luma(r, g, b));
    c[x] = static_cast<int16_t>(2 * g - r - b);
    clipped[x] = static_cast<int16_t>(clipped[x] + ((r == 255) | (g == 255) | (b == 255) | ((r | g | b) == 0)));
  }
}

SRFAST_CLONES void load_gray(const uint8_t* __restrict p, int16_t* __restrict y, int16_t* __restrict clipped,
                             int64_t n) {
  for (int64_t x = 0; x < n; ++x) {
    y[x] = p[x];
    clipped[x] = static_cast<int16_t>(clipped[x] + ((p[x] == 255) | (p[x] == 0)));
  }
}

SRFAST_CLONES void add(const int16_t* __restrict a, int32_t* __restrict sums, int64_t n) {
  for (int64_t x = 0; x < n; ++x) sums[x] += a[x];
}

// Second differences: of three lines, and along one.
SRFAST_CLONES void bend(const int16_t* a, const int16_t* b, const int16_t* c, int16_t* __restrict d, int64_t n) {
  for (int64_t x = 0; x < n; ++x) d[x] = static_cast<int16_t>(a[x] - 2 * b[x] + c[x]);
}

// log2(a) to 4e-6, a > 0 and normal: the exponent, and atanh's series of the mantissa in [sqrt(1/2), sqrt(2)).
inline float log2_near(float a) {
  const uint32_t bits = std::bit_cast<uint32_t>(a), shifted = bits - 0x3f3504f3u;
  const int32_t exponent = static_cast<int32_t>(shifted) >> 23;
  const float m = std::bit_cast<float>(bits - (static_cast<uint32_t>(exponent) << 23));
  const float s = (m - 1) / (m + 1), q = s * s;
  return static_cast<float>(exponent) + s * (2.88539008f + q * (0.961796694f + q * (0.577078016f + q * 0.412198583f)));
}

// out[t] = log2(scale * the sum of the first `width` columns of tile t + offset)
SRFAST_CLONES void log_sums(const int32_t* __restrict sums, int width, float scale, float offset, float* __restrict out,
                            int64_t tiles) {
  float total[kChunk / kTile];
  for (int64_t t = 0; t < tiles; ++t) {
    float s = 0;
    for (int k = 0; k < width; ++k) s += static_cast<float>(sums[t * kTile + k]);
    total[t] = s;
  }
  for (int64_t t = 0; t < tiles; ++t) out[t] = log2_near(total[t] * scale + offset);
}

// log2 of the greatest by the least mean over the columns of one remainder modulo `period`, of the first `width`.
SRFAST_CLONES void log_phases(const int32_t* __restrict sums, int width, int period, float* __restrict out,
                              int64_t tiles) {
  float high[kChunk / kTile], low[kChunk / kTile];
  for (int64_t t = 0; t < tiles; ++t) {
    float most = 0, least = 0;
    for (int p = 0; p < period; ++p) {
      int32_t s = 0;
      int n = 0;
      for (int k = p; k < width; k += period, ++n) s += sums[t * kTile + k];
      const float mean = static_cast<float>(s) / static_cast<float>(n * 8);
      most = p == 0 || mean > most ? mean : most;
      least = p == 0 || mean < least ? mean : least;
    }
    high[t] = most + 1, low[t] = least + 1;
  }
  for (int64_t t = 0; t < tiles; ++t) out[t] = log2_near(high[t]) - log2_near(low[t]);
}

struct Extremes {
  int16_t low[kRow], high[kRow], step[kRow], equal[kRow], sharp[kRow], near[kRow], coarse[kRow];
};

SRFAST_CLONES void first_row(const int16_t* __restrict y, int16_t* __restrict low, int16_t* __restrict high,
                             int64_t n) {
  for (int64_t x = 0; x < n; ++x) low[x] = high[x] = y[x];
}

SRFAST_CLONES void more_rows(const int16_t* __restrict y, int16_t* __restrict low, int16_t* __restrict high,
                             int64_t n) {
  for (int64_t x = 0; x < n; ++x) {
    low[x] = low[x] < y[x] ? low[x] : y[x];
    high[x] = high[x] > y[x] ? high[x] : y[x];
  }
}

constexpr int16_t kStep = 24;  // grey levels of a step that stands next to exactly equal pixels: drawn, not seen

SRFAST_CLONES void across(const int16_t* __restrict d, int16_t* __restrict step, int16_t* __restrict equal,
                          int16_t* __restrict sharp, int16_t* __restrict coarse, int64_t n) {
  for (int64_t x = 0; x < n; ++x) {
    const int16_t a = static_cast<int16_t>(d[x] < 0 ? -d[x] : d[x]);
    const int16_t b = d[x + 1], c = static_cast<int16_t>(b < 0 ? -b : b);
    step[x] = step[x] > a ? step[x] : a;
    equal[x] = static_cast<int16_t>(equal[x] + (a == 0));
    coarse[x] = static_cast<int16_t>(coarse[x] + (a == 1));
    sharp[x] = static_cast<int16_t>(sharp[x] + (((a >= kStep) & (c == 0)) | ((c >= kStep) & (a == 0))));
  }
}

SRFAST_CLONES void down(const int16_t* __restrict d, int16_t* __restrict step, int16_t* __restrict equal,
                        int16_t* __restrict coarse, int64_t n) {
  for (int64_t x = 0; x < n; ++x) {
    const int16_t a = static_cast<int16_t>(d[x] < 0 ? -d[x] : d[x]);
    step[x] = step[x] > a ? step[x] : a;
    equal[x] = static_cast<int16_t>(equal[x] + (a == 0));
    coarse[x] = static_cast<int16_t>(coarse[x] + (a == 1));
  }
}

SRFAST_CLONES void count_near(const int16_t* __restrict y, const int16_t* __restrict low,
                              const int16_t* __restrict high, int16_t* __restrict near, int64_t n) {
  for (int64_t x = 0; x < n; ++x)
    near[x] = static_cast<int16_t>(near[x] + ((y[x] <= low[x] + 2) | (y[x] >= high[x] - 2)));
}

inline int32_t total(const int16_t* a, int width) {
  int32_t s = 0;
  for (int k = 0; k < width; ++k) s += a[k];
  return s;
}

struct Work {
  alignas(64) Row h[4][kTile], scratch[2][kTile];
  alignas(64) Sums sums[16];
  alignas(64) Extremes e;
};

enum { kH1, kH2, kH3, kH4, kV1, kV2, kV3, kV4, kHH, kH3V1, kH1V3, kD11, kSum, kSquares, kCHH };

}  // namespace

void load_tile_row(const Image& image, int64_t row, int64_t column, int64_t columns, TileRow& t) {
  alignas(64) int16_t clipped[kRow] = {};
  for (int64_t r = 0; r < kTile; ++r) {
    const uint8_t* p = image.at(row + r, column);
    if (image.channels == 3) {
      load_rgb(p, t.y[r], t.c[r], clipped, columns);
    } else {
      load_gray(p, t.y[r], clipped, columns);
      std::memset(t.c[r], 0, sizeof t.c[r]);
    }
  }
  for (int64_t i = 0; i < columns / kTile; ++i) t.clipped[i] = total(clipped + i * kTile, 8);
}

void measure_tile_row(int64_t columns, TileRow& t) {
  static thread_local Work w;
  const int64_t n = columns, tiles = columns / kTile;
  for (auto& sums : w.sums) std::fill(sums, sums + n, 0);
  for (auto* row : {w.e.step, w.e.equal, w.e.sharp, w.e.near, w.e.coarse}) std::fill(row, row + n, int16_t{0});
  for (int64_t r = 0; r < kTile; ++r) {
    difference(t.y[r], w.h[0][r], n + 7);
    for (int k = 1; k < 4; ++k) difference(w.h[k - 1][r], w.h[k][r], n + 7 - k);
    for (int k = 0; k < 4; ++k) add_squares(w.h[k][r], w.sums[kH1 + k], n);
    across(w.h[0][r], w.e.step, w.e.equal, w.e.sharp, w.e.coarse, n);
    (r == 0 ? first_row : more_rows)(t.y[r], w.e.low, w.e.high, n);
    add_squares(t.y[r], w.sums[kSquares], n);
    add(t.y[r], w.sums[kSum], n);
  }
  // Counts of columns so far are those along rows, of which the last column of a tile has none.
  int32_t equal[kChunk / kTile], coarse[kChunk / kTile];
  for (int64_t i = 0; i < tiles; ++i) {
    equal[i] = total(w.e.equal + i * kTile, 7);
    coarse[i] = total(w.e.coarse + i * kTile, 7);
    w.e.step[i * kTile + 7] = 0;
  }
  for (auto* row : {w.e.equal, w.e.coarse}) std::fill(row, row + n, int16_t{0});
  auto& v1 = w.scratch[0];
  auto& a = w.scratch[1];
  // down each column: of Y, with differences of differences in place
  for (int64_t r = 0; r < 7; ++r) {
    subtract(t.y[r + 1], t.y[r], v1[r], n + 7);
    add_squares(v1[r], w.sums[kV1], n);
    down(v1[r], w.e.step, w.e.equal, w.e.coarse, n);
  }
  for (int64_t r = 0; r < 6; ++r) subtract(v1[r + 1], v1[r], a[r], n), add_squares(a[r], w.sums[kV2], n);
  for (int64_t r = 0; r < 5; ++r) subtract(a[r + 1], a[r], a[r], n), add_squares(a[r], w.sums[kV3], n);
  for (int64_t r = 0; r < 4; ++r) subtract(a[r + 1], a[r], a[r], n), add_squares(a[r], w.sums[kV4], n);
  // down each column of the differences along rows
  for (int64_t r = 0; r < 7; ++r) subtract(w.h[0][r + 1], w.h[0][r], a[r], n), add_squares(a[r], w.sums[kD11], n);
  for (int64_t r = 0; r < 6; ++r) subtract(a[r + 1], a[r], a[r], n);
  for (int64_t r = 0; r < 5; ++r) subtract(a[r + 1], a[r], a[r], n), add_squares(a[r], w.sums[kH1V3], n);
  for (int64_t r = 0; r < 7; ++r) subtract(w.h[2][r + 1], w.h[2][r], a[r], n), add_squares(a[r], w.sums[kH3V1], n);
  for (int64_t r = 0; r < 6; ++r) {
    bend(w.h[1][r], w.h[1][r + 1], w.h[1][r + 2], a[0], n);
    add_squares(a[0], w.sums[kHH], n);
    bend(t.c[r], t.c[r + 1], t.c[r + 2], a[0], n + 2);
    bend(a[0], a[0] + 1, a[0] + 2, a[1], n);
    add_squares(a[1], w.sums[kCHH], n);
  }
  for (int64_t i = 0; i < tiles; ++i) {
    int16_t *low = w.e.low + i * kTile, *high = w.e.high + i * kTile;
    for (int k = 1; k < 8; ++k) {
      low[0] = low[k] < low[0] ? low[k] : low[0];
      high[0] = high[k] > high[0] ? high[k] : high[0];
    }
    for (int k = 1; k < 8; ++k) low[k] = low[0], high[k] = high[0];
  }
  for (int64_t r = 0; r < kTile; ++r) count_near(t.y[r], w.e.low, w.e.high, w.e.near, n);

  auto& f = t.features;
  constexpr float kOffset[4] = {0.25f, 0.5f, 1, 2};
  for (int k = 0; k < 4; ++k) {
    log_sums(w.sums[kH1 + k], 7 - k, 1.0f / static_cast<float>(8 * (7 - k)), kOffset[k], f[k], tiles);
    log_sums(w.sums[kV1 + k], 8, 1.0f / static_cast<float>(8 * (7 - k)), kOffset[k], f[4 + k], tiles);
  }
  log_sums(w.sums[kHH], 6, 1.0f / (36 * 36), 0.05f, f[8], tiles);
  log_sums(w.sums[kH3V1], 5, 1.0f / (35 * 40), 0.05f, f[9], tiles);
  log_sums(w.sums[kH1V3], 7, 1.0f / (35 * 40), 0.05f, f[10], tiles);
  log_sums(w.sums[kD11], 7, 1.0f / (49 * 4), 0.05f, f[11], tiles);
  log_sums(w.sums[kCHH], 6, 1.0f / (36 * 36), 0.3f, f[14], tiles);
  log_phases(w.sums[kH1], 7, 2, f[16], tiles);
  log_phases(w.sums[kH1], 7, 3, f[17], tiles);
  log_phases(w.sums[kH2], 6, 2, f[18], tiles);
  log_phases(w.sums[kH2], 6, 3, f[19], tiles);
  for (int64_t i = 0; i < tiles; ++i) {
    int32_t sum = 0, squares = 0, step = 0;
    for (int k = 0; k < 8; ++k) {
      sum += w.sums[kSum][i * kTile + k];
      squares += w.sums[kSquares][i * kTile + k];
      step = w.e.step[i * kTile + k] > step ? w.e.step[i * kTile + k] : step;
    }
    const float range = static_cast<float>(w.e.high[i * kTile] - w.e.low[i * kTile]);
    f[12][i] = static_cast<float>(64 * squares - sum * sum) / 4096;
    f[13][i] = range + 1;
    f[15][i] = static_cast<float>(equal[i] + total(w.e.equal + i * kTile, 8)) / 14;
    f[20][i] = static_cast<float>(total(w.e.near + i * kTile, 8)) / 8;
    f[21][i] = static_cast<float>(step) + 1;
    f[22][i] = static_cast<float>(total(w.e.sharp + i * kTile, 6) + 1);
    f[23][i] = static_cast<float>(t.clipped[i]) / 8;
    const int32_t flat = equal[i] + total(w.e.equal + i * kTile, 8),
                  ones = coarse[i] + total(w.e.coarse + i * kTile, 8);
    t.banded[i] = range >= 2 && range <= 16 && 10 * flat >= 7 * 112 && 4 * ones <= 112 - flat;
  }
  for (int64_t i = 0; i < tiles; ++i) {
    f[12][i] = log2_near(f[12][i] + 0.25f);
    f[13][i] = log2_near(f[13][i]);
    f[21][i] = log2_near(f[21][i]);
    f[22][i] = log2_near(f[22][i]);
  }
}

}  // namespace srfast
