// The trace that JPEG leaves in pixels: where its grid of 8 pixels lies, and the steps of its quantisation.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/api.h"
#include "cpu/clones.h"
#include "cpu/defects.h"

namespace srfast {

namespace {

constexpr int kPhases = 64;
constexpr int16_t kClip = 32;      // of eight times a coefficient
constexpr int64_t kBlocks = 1024;  // that the steps are looked for in, spread over the image
constexpr int kBins = 256;         // of half a grey level each
constexpr int kFrequencies = 14;
constexpr int kLargestStep = 255;
constexpr size_t kOthers = 3;  // places of the grid that are tried, off the image's corner
constexpr double kLeastScore = 6, kLeastShare = 0.3;
// Steps from which coefficients of a quarter of a step are counted too: against them, as a JPEG has none. Those of
// smaller steps are no more than what rounding makes of a coefficient that was 0.
constexpr int kWide = 12;

// Row, column of the frequencies whose steps are looked for: the first 14 of JPEG's zigzag after the mean.
constexpr int kRows[kFrequencies] = {0, 1, 2, 1, 0, 0, 1, 2, 3, 4, 3, 2, 1, 0};
constexpr int kColumns[kFrequencies] = {1, 0, 0, 1, 2, 3, 2, 1, 0, 0, 1, 2, 3, 4};
// Of Annex K of the standard, at those frequencies.
constexpr int kStandard[kFrequencies] = {11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24};

int step_of(int frequency, int quality) {
  const int s = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  return std::clamp((kStandard[frequency] * s + 50) / 100, 1, kLargestStep);
}

struct Tables {
  float basis[5][8];           // of the DCT-II, orthonormal
  std::vector<float> cosines;  // [step][bin]: cos(2 pi |c| / step)
  Tables() : cosines(static_cast<size_t>(kLargestStep + 1) * kBins) {
    const double pi = std::acos(-1.0);
    for (int u = 0; u < 5; ++u)
      for (int i = 0; i < 8; ++i)
        basis[u][i] = static_cast<float>((u ? 0.5 : std::sqrt(0.125)) * std::cos((2 * i + 1) * u * pi / 16));
    for (int s = 2; s <= kLargestStep; ++s) {  // cos(a + d) = 2 cos(d) cos(a) - cos(a - d)
      double before = std::cos(pi / 2 / s), now = before;
      const double twice = 2 * std::cos(pi / s);
      for (int b = 0; b < kBins; ++b) {
        cosines[static_cast<size_t>(s * kBins + b)] = static_cast<float>(now);
        const double next = twice * now - before;
        before = now, now = next;
      }
    }
  }
};

const Tables& tables() {
  static const Tables t;
  return t;
}

SRFAST_CLONES void luma_line(const uint8_t* __restrict p, int channels, int64_t w, int16_t* __restrict y) {
  if (channels == 3)
    for (int64_t x = 0; x < w; ++x) y[x] = static_cast<int16_t>(jfif_luma(p[3 * x], p[3 * x + 1], p[3 * x + 2]));
  else
    for (int64_t x = 0; x < w; ++x) y[x] = p[x];
}

// The sign pattern of the basis function of frequency 4, + - - + + - - +, along a row.
SRFAST_CLONES void pattern_line(const int16_t* __restrict y, int64_t n, int16_t* __restrict g) {
  for (int64_t x = 0; x < n; ++x)
    g[x] = static_cast<int16_t>((y[x] - y[x + 1] - y[x + 2] + y[x + 3]) + (y[x + 4] - y[x + 5] - y[x + 6] + y[x + 7]));
}

// Basis function 3 along a row, in 32nds of which 32 are shifted out again: whole grey levels.
SRFAST_CLONES void third_line(const int16_t* __restrict y, int64_t n, int16_t* __restrict g) {
  for (int64_t x = 0; x < n; ++x)
    g[x] = static_cast<int16_t>((13 * (y[x] - y[x + 7]) - 3 * (y[x + 1] - y[x + 6]) - 16 * (y[x + 2] - y[x + 5]) -
                                 9 * (y[x + 3] - y[x + 4]) + 16) >>
                                5);
}

SRFAST_CLONES void add_third(const int16_t* const* rows, int64_t n, int16_t* __restrict sums) {
  const int16_t *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3], *e = rows[4], *f = rows[5], *g = rows[6],
                *h = rows[7];
  for (int64_t x = 0; x < n; ++x) {
    const int16_t v = static_cast<int16_t>(
        (13 * (a[x] - h[x]) - 3 * (b[x] - g[x]) - 16 * (c[x] - f[x]) - 9 * (d[x] - e[x]) + 8) >> 4);
    const int16_t size = static_cast<int16_t>(v < 0 ? -v : v);
    sums[x] = static_cast<int16_t>(sums[x] + (size < kClip ? size : kClip));
  }
}

// And down the columns; its size, clipped, is added to the sums of this row's phase.
SRFAST_CLONES void add_line(const int16_t* const* rows, int64_t n, int16_t* __restrict sums) {
  const int16_t *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3], *e = rows[4], *f = rows[5], *g = rows[6],
                *h = rows[7];
  for (int64_t x = 0; x < n; ++x) {
    const int16_t v = static_cast<int16_t>((a[x] - b[x] - c[x] + d[x]) + (e[x] - f[x] - g[x] + h[x]));
    const int16_t size = static_cast<int16_t>(v < 0 ? -v : v);
    sums[x] = static_cast<int16_t>(sums[x] + (size < kClip ? size : kClip));
  }
}

// Means over the 64 places of the grid of the clipped size of a coefficient: that of frequency (4, 4), or (3, 3).
void phase_means(const Image& image, bool third, double* means) {
  const int64_t w = image.w, n = (w - 7) / 8 * 8, lines = (image.h - 7) / 8 * 8;  // whole periods
  std::vector<int16_t> y(static_cast<size_t>(w)), ring(static_cast<size_t>(8 * n)), sums(static_cast<size_t>(8 * n));
  int64_t totals[kPhases] = {};
  auto flush = [&] {
    for (int64_t r = 0; r < 8; ++r)
      for (int64_t x = 0; x < n; ++x) totals[r * 8 + x % 8] += sums[static_cast<size_t>(r * n + x)];
    std::fill(sums.begin(), sums.end(), int16_t{0});
  };
  for (int64_t r = 0; r < lines + 7; ++r) {
    luma_line(image.at(r, 0), image.channels, w, y.data());
    (third ? third_line : pattern_line)(y.data(), n, ring.data() + r % 8 * n);
    if (r < 7) continue;
    const int64_t top = r - 7;
    const int16_t* rows[8];
    for (int64_t k = 0; k < 8; ++k) rows[k] = ring.data() + (top + k) % 8 * n;
    (third ? add_third : add_line)(rows, n, sums.data() + top % 8 * n);
    if (top % 8000 == 7999) flush();
  }
  flush();
  for (int p = 0; p < kPhases; ++p)
    means[p] = static_cast<double>(totals[p]) / static_cast<double>(lines / 8 * (n / 8));
}

SRFAST_CLONES void columns_of(const float* basis, const int16_t* __restrict y, int64_t stride, int64_t n,
                              float* __restrict v) {
  for (int64_t x = 0; x < n; ++x) {
    float sum = 0;
    for (int64_t i = 0; i < 8; ++i) sum += basis[i] * static_cast<float>(y[i * stride + x]);
    v[x] = sum;
  }
}

// Twice the size of a coefficient of each block in whole numbers, at most kBins.
SRFAST_CLONES void sizes_of(const float* __restrict v, const float (*basis)[8], int64_t blocks, int frequency,
                            int16_t* __restrict sizes) {
  const float* b = basis[kColumns[frequency]];
  for (int64_t k = 0; k < blocks; ++k) {
    float sum = 0;
    for (int64_t i = 0; i < 8; ++i) sum += b[i] * v[8 * k + i];
    const float size = 2 * (sum < 0 ? -sum : sum);
    sizes[k] = static_cast<int16_t>(size < kBins ? size : kBins);
  }
}

// Which of n values are 0 or 255, into what was known before.
SRFAST_CLONES void mark_cut(const uint8_t* __restrict line, int64_t n, uint8_t* __restrict cut) {
  for (int64_t i = 0; i < n; ++i) cut[i] = static_cast<uint8_t>(cut[i] | ((line[i] == 0) | (line[i] == 255)));
}

// Blocks that were seen, by a hash of their sizes and of whether they were cut off: drawings repeat a few, and what
// repeats is no evidence of steps.
class Seen {
 public:
  explicit Seen(int64_t most) : slots_(std::bit_ceil(static_cast<uint64_t>(2 * most))) {}

  bool add(const int16_t* sizes, int64_t stride) {
    uint64_t hash = 0xcbf29ce484222325;
    for (int f = 0; f <= kFrequencies; ++f) {
      hash = (hash ^ static_cast<uint64_t>(sizes[f * stride])) * 0x9e3779b97f4a7c15;
      hash ^= hash >> 29;
    }
    hash |= 1;  // 0: free
    uint64_t at = hash >> 20;
    while (uint64_t& slot = slots_[at++ & (slots_.size() - 1)]) {
      if (slot == hash) return false;
    }
    slots_[(at - 1) & (slots_.size() - 1)] = hash;
    return true;
  }

 private:
  std::vector<uint64_t> slots_;
};

SRFAST_CLONES float dot(const float* __restrict a, const float* __restrict b, int from) {
  float sum = 0;
  for (int i = from; i < kBins; ++i) sum += a[i] * b[i];
  return sum;
}

// The quality whose steps the sizes [kFrequencies, kBins] are multiples of, or 0.
int quality_of(const int32_t* histograms) {
  const Tables& t = tables();
  double sums[101] = {}, counts[101] = {};
  std::vector<float> counted(kBins);
  for (int f = 0; f < kFrequencies; ++f) {
    const int32_t* histogram = histograms + f * kBins;
    int32_t beyond[kBins + 1] = {};
    for (int i = kBins - 1; i >= 0; --i) {
      counted[static_cast<size_t>(i)] = static_cast<float>(histogram[i]);
      beyond[i] = beyond[i + 1] + histogram[i];
    }
    int previous = 0;
    double sum = 0, count = 0;
    for (int q = 1; q <= 100; ++q) {
      const int step = step_of(f, q);
      if (step < 2) continue;
      if (step != previous) {
        const int most = (6 * step + 4) / 5;  // bins from 0.6 steps on
        const int from = step < kWide ? most : (step + 1) / 2;
        sum = count = 0;
        if (most < kBins) {
          sum = dot(counted.data(), t.cosines.data() + step * kBins, from);
          count = beyond[from];
        }
        previous = step;
      }
      sums[q] += sum, counts[q] += count;
    }
  }
  int best = 0;
  double score = kLeastScore;
  for (int q = 1; q <= 100; ++q) {
    const double z = sums[q] / std::sqrt(counts[q] / 2 + 1);
    if (z >= score && sums[q] >= kLeastShare * counts[q]) score = z, best = q;
  }
  return best;
}

// That of the blocks of the grid at (top, left) in which no channel is cut off at 0 or 255, which takes coefficients
// off their multiples; that of all where those say nothing.
int quality_at(const Image& image, int64_t top, int64_t left) {
  const Tables& t = tables();
  const int channels = image.channels;
  const int64_t rows = (image.h - top) / 8, blocks = (image.w - left) / 8, n = blocks * 8;
  const int64_t every = std::max<int64_t>(1, (rows * blocks + kBlocks / 2) / kBlocks);
  std::vector<int16_t> y(static_cast<size_t>(8 * n));
  std::vector<float> v(static_cast<size_t>(5 * n));
  std::vector<int16_t> sizes(static_cast<size_t>((kFrequencies + 1) * blocks));  // the last: whether it was cut off
  std::vector<uint8_t> cut(static_cast<size_t>(n * channels));
  bool some = false;
  std::vector<int32_t> whole(static_cast<size_t>(kFrequencies * kBins)), all(whole.size());
  Seen seen((rows / every + 1) * blocks);
  for (int64_t i = every / 2; i < rows; i += every) {
    std::fill(cut.begin(), cut.end(), uint8_t{0});
    for (int64_t r = 0; r < 8; ++r) {
      const uint8_t* line = image.at(top + 8 * i + r, left);
      mark_cut(line, n * channels, cut.data());
      luma_line(line, channels, n, y.data() + r * n);
    }
    for (int u = 0; u < 5; ++u) columns_of(t.basis[u], y.data(), n, n, v.data() + u * n);
    for (int f = 0; f < kFrequencies; ++f)
      sizes_of(v.data() + kRows[f] * n, t.basis, blocks, f, sizes.data() + f * blocks);
    for (int64_t k = 0; k < blocks; ++k) {
      const uint8_t* mine = cut.data() + k * 8 * channels;
      const bool off = std::any_of(mine, mine + 8 * channels, [](uint8_t c) { return c != 0; });
      sizes[static_cast<size_t>(kFrequencies * blocks + k)] = off;
      some |= off;
      if (!seen.add(sizes.data() + k, blocks)) continue;
      for (int f = 0; f < kFrequencies; ++f) {
        const int size = sizes[static_cast<size_t>(f * blocks + k)];
        if (size == kBins) continue;
        ++all[static_cast<size_t>(f * kBins + size)];
        whole[static_cast<size_t>(f * kBins + size)] += !off;
      }
    }
  }
  const int quality = quality_of(whole.data());
  return quality || !some ? quality : quality_of(all.data());
}

// Adds the least of the places of the grid off the corner whose mean is below a limit and below the eight around it.
void add_places(const double* means, double limit, size_t most, std::vector<int>& found) {
  std::vector<int> places;
  for (int p = 1; p < kPhases; ++p) {
    bool least = means[p] < limit;
    for (int dy = -1; dy <= 1; ++dy)
      for (int dx = -1; dx <= 1; ++dx) least &= means[p] <= means[(p / 8 + dy + 8) % 8 * 8 + (p % 8 + dx + 8) % 8];
    if (least) places.push_back(p);
  }
  std::stable_sort(places.begin(), places.end(), [&](int a, int b) { return means[a] < means[b]; });
  for (size_t i = 0; i < std::min(places.size(), most); ++i) found.push_back(places[i]);
}

}  // namespace

int jpeg_trace_cpu(const Image& image) {
  const int64_t h = image.h, w = image.w;
  if (h < 23 || w < 23) return 0;
  double means[kPhases], sorted[kPhases];
  phase_means(image, false, means);
  std::copy(means, means + kPhases, sorted);
  std::sort(sorted, sorted + kPhases);
  const double median = 0.5 * (sorted[31] + sorted[32]);
  const double spread = 1 / std::sqrt(static_cast<double>((h - 7) / 8 * ((w - 7) / 8)));
  if (median <= 0) return 0;
  std::vector<int> found;
  if (means[0] < median * std::exp(-2 * spread)) {
    found.push_back(0);
    // An earlier grid, of which the saving on this one has left the low frequencies.
    add_places(means, means[0], 1, found);
    phase_means(image, true, means);
    add_places(means, std::numeric_limits<double>::infinity(), 2, found);
  } else {
    add_places(means, median * std::exp(-0.02 - 3.3 * spread), kOthers, found);
  }
  int quality = 0;
  for (const int p : found) {
    const int q = quality_at(image, p / 8, p % 8);
    if (q && (!quality || q < quality)) quality = q;
  }
  return quality;
}

}  // namespace srfast
