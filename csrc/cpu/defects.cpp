// The panel of defects: what is measured in tiles, a small network over it, and what windows are given.
#include "cpu/defects.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/api.h"
#include "cpu/clones.h"
#include "cpu/threads.h"

namespace srfast {

namespace {

constexpr int64_t kHidden = kDefectHidden, kHeads = kDefectHeads;
constexpr int64_t kStored = kHidden + 8;  // of a tile: its hidden values, textured, banded, clipped pixels
constexpr int64_t kChunkTiles = kChunk / kTile;
constexpr float kTextured = 4;  // log2 of the variance from which a tile has something to measure, 16
constexpr int kMargin = 2;      // grey levels a line of a margin may differ by

// The weights as they lie behind each other, each [out, in] and then its bias.
struct Net {
  const float *a, *a_bias, *b, *b_bias, *d_bias;
  std::vector<float> c, d;  // transposed: [in, out]
  const float* c_bias;
  explicit Net(const float* w) : c(kHidden * kHidden), d(kHidden * kHeads) {
    a = w, a_bias = a + kHidden * kFeatures;
    b = a_bias + kHidden, b_bias = b + kHidden * kHidden;
    const float* cw = b_bias + kHidden;
    c_bias = cw + kHidden * kHidden;
    const float* dw = c_bias + kHidden;
    d_bias = dw + kHeads * kHidden;
    for (int64_t o = 0; o < kHidden; ++o)
      for (int64_t i = 0; i < kHidden; ++i) c[static_cast<size_t>(i * kHidden + o)] = cw[o * kHidden + i];
    for (int64_t o = 0; o < kHeads; ++o)
      for (int64_t i = 0; i < kHidden; ++i) d[static_cast<size_t>(i * kHeads + o)] = dw[o * kHidden + i];
  }
};

// out[o][t] = max(0, bias[o] + sum over i of weight[o][i] in[i][t]), t a tile of the chunk.
SRFAST_CLONES void tile_layer(const float* __restrict weight, const float* __restrict bias, int64_t inputs,
                              const float* __restrict in, float* __restrict out) {
  for (int64_t o = 0; o < kHidden; ++o) {
    float sums[kChunkTiles];
    for (int64_t t = 0; t < kChunkTiles; ++t) sums[t] = bias[o];
    for (int64_t i = 0; i < inputs; ++i) {
      const float k = weight[o * inputs + i];
      for (int64_t t = 0; t < kChunkTiles; ++t) sums[t] += k * in[i * kChunkTiles + t];
    }
    for (int64_t t = 0; t < kChunkTiles; ++t) out[o * kChunkTiles + t] = sums[t] > 0 ? sums[t] : 0;
  }
}

SRFAST_CLONES void add_lines(const float* __restrict a, int64_t n, float* __restrict sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] += a[i];
}

// The sums of `tiles` neighbours of kStored values each.
SRFAST_CLONES void pool(const float* __restrict a, int64_t tiles, float* __restrict sums) {
  for (int64_t i = 0; i < kStored; ++i) sums[i] = 0;
  for (int64_t t = 0; t < tiles; ++t)
    for (int64_t i = 0; i < kStored; ++i) sums[i] += a[t * kStored + i];
}

SRFAST_CLONES void window_layers(const float* __restrict mean, const float* __restrict c, const float* __restrict cb,
                                 const float* __restrict d, const float* __restrict db, float* __restrict heads) {
  float hidden[kHidden];
  for (int64_t o = 0; o < kHidden; ++o) hidden[o] = cb[o];
  for (int64_t i = 0; i < kHidden; ++i)
    for (int64_t o = 0; o < kHidden; ++o) hidden[o] += mean[i] * c[i * kHidden + o];
  for (int64_t o = 0; o < kHeads; ++o) heads[o] = db[o];
  for (int64_t i = 0; i < kHidden; ++i)
    for (int64_t o = 0; o < kHeads; ++o) heads[o] += (hidden[i] > 0 ? hidden[i] : 0) * d[i * kHeads + o];
}

// Rows and columns of an image that are no margin.
struct Inner {
  int64_t top, bottom, left, right;
};

struct Picture {
  const uint8_t* pixels;
  int64_t h, w, row_stride;
  int channels;
  const uint8_t* at(int64_t y, int64_t x) const { return pixels + y * row_stride + x * channels; }
};

// Whether n pixels, `step` bytes apart, are those of the corner but for kMargin grey levels.
bool alike(const uint8_t* line, int64_t n, int64_t step, const uint8_t* corner, int channels) {
  for (int64_t i = 0; i < n; ++i)
    for (int c = 0; c < channels; ++c)
      if (std::abs(line[i * step + c] - corner[c]) > kMargin) return false;
  return true;
}

Inner inner_of(const Picture& p) {
  Inner in{0, p.h, 0, p.w};
  auto row = [&](int64_t y, int64_t like) { return alike(p.at(y, 0), p.w, p.channels, p.at(like, 0), p.channels); };
  while (in.top < p.h && row(in.top, 0)) ++in.top;
  if (in.top == p.h) return {0, p.h, 0, p.w};  // of one colour: there is nothing that has a margin
  while (row(in.bottom - 1, p.h - 1)) --in.bottom;
  const int64_t rows = in.bottom - in.top;
  auto column = [&](int64_t x, int64_t like) {
    return alike(p.at(in.top, x), rows, p.row_stride, p.at(in.top, like), p.channels);
  };
  while (in.left < p.w && column(in.left, 0)) ++in.left;
  while (in.right > in.left && column(in.right - 1, p.w - 1)) --in.right;
  return in;
}

class Panel {
 public:
  Panel(const Picture& p, const Net& net, const Inner& inner, const int32_t* xs, int64_t nx, int64_t size)
      : p_(p), net_(net), inner_(inner), xs_(xs), nx_(nx), size_(size), n_(defect_tiles(size)), across_(p.w / kTile) {
    ring_.resize(static_cast<size_t>(n_ * across_ * kStored));
    sums_.resize(static_cast<size_t>(across_ * kStored));
  }

  // The windows whose corners lie at ys[0] <= ... <= ys[ny - 1].
  void run(const int32_t* ys, int64_t ny, float* out) {
    int64_t next = 0, last = -1;
    for (int64_t i = 0; i < ny; ++i) {
      const int64_t first = (ys[i] + kTile - 1) / kTile;
      if (first != last) {
        for (next = std::max(next, first); next < first + n_; ++next) measure(next);
        std::fill(sums_.begin(), sums_.end(), 0.0f);
        for (int64_t r = first; r < first + n_; ++r) add_lines(line(r), across_ * kStored, sums_.data());
      }
      float* row = out + i * nx_ * kDefectColumns;
      if (first == last)
        std::copy(row - nx_ * kDefectColumns, row, row);
      else
        windows(row);
      for (int64_t j = 0; j < nx_; ++j) row[j * kDefectColumns + kBorder] = border(xs_[j], ys[i]);
      last = first;
    }
  }

 private:
  float* line(int64_t row) { return ring_.data() + row % n_ * across_ * kStored; }

  void measure(int64_t row) {
    TileRow& t = tile_;
    float* to = line(row);
    for (int64_t begin = 0; begin < across_; begin += kChunkTiles) {
      const int64_t tiles = std::min(kChunkTiles, across_ - begin);
      load_tile_row(p_.at(row * kTile, begin * kTile), p_.row_stride, p_.channels, tiles * kTile, t);
      measure_tile_row(tiles * kTile, t);
      tile_layer(net_.a, net_.a_bias, kFeatures, t.features[0], one_);
      tile_layer(net_.b, net_.b_bias, kHidden, one_, two_);
      for (int64_t k = 0; k < tiles; ++k) {
        float* stored = to + (begin + k) * kStored;
        for (int64_t i = 0; i < kHidden; ++i) stored[i] = two_[i * kChunkTiles + k];
        stored[kHidden] = t.features[12][k] >= kTextured ? 1.0f : 0.0f;
        stored[kHidden + 1] = static_cast<float>(t.banded[k]);
        stored[kHidden + 2] = static_cast<float>(t.clipped[k]);
        std::fill(stored + kHidden + 3, stored + kStored, 0.0f);
      }
    }
  }

  void windows(float* out) {
    const float tiles = static_cast<float>(n_ * n_), none = std::numeric_limits<float>::quiet_NaN();
    int64_t last = -1;
    for (int64_t j = 0; j < nx_; ++j, out += kDefectColumns) {
      const int64_t first = (xs_[j] + kTile - 1) / kTile;
      if (first == last) {
        std::copy(out - kDefectColumns, out, out);
        continue;
      }
      last = first;
      float sums[kStored], heads[kHeads];
      pool(sums_.data() + first * kStored, n_, sums);
      const float textured = sums[kHidden] / tiles, clipped = sums[kHidden + 2] / (tiles * kTile * kTile);
      for (float& s : sums) s /= tiles;
      window_layers(sums, net_.c.data(), net_.c_bias, net_.d.data(), net_.d_bias, heads);
      const bool seen = textured >= kLeastTextured;
      float most = heads[2], total = 0, factor = 0;
      for (int k = 3; k < 6; ++k) most = std::max(most, heads[k]);
      for (int k = 2; k < 6; ++k) {
        const float e = std::exp(heads[k] - most);
        total += e, factor += e * static_cast<float>(k - 1);
      }
      out[kNoise] = clipped < kMostClipped ? std::max(0.0f, std::exp2(heads[0]) - 1) : none;
      out[kBlur] = seen ? std::max(0.0f, heads[1]) : none;
      out[kUpscaled] = seen ? factor / total : none;
      out[kHalo] = seen ? 100 / (1 + std::exp(-heads[6])) : none;
      out[kOverlay] = 100 / (1 + std::exp(-heads[7]));
      out[kBanding] = 100 * sums[kHidden + 1];
      out[kClipped] = 100 * clipped;
    }
  }

  float border(int64_t x, int64_t y) const {
    auto inside = [&](int64_t begin, int64_t low, int64_t high) {
      return std::max<int64_t>(0, std::min(begin + size_, high) - std::max(begin, low));
    };
    const int64_t kept = inside(x, inner_.left, inner_.right) * inside(y, inner_.top, inner_.bottom);
    return static_cast<float>(100.0 * static_cast<double>(size_ * size_ - kept) / static_cast<double>(size_ * size_));
  }

  const Picture p_;
  const Net& net_;
  const Inner inner_;
  const int32_t* xs_;
  const int64_t nx_, size_, n_, across_;
  std::vector<float> ring_;  // [n, across, kStored]: the rows of tiles that the windows at work look at
  std::vector<float> sums_;  // [across, kStored]: of those rows
  TileRow tile_{};
  alignas(64) float one_[kHidden * kChunkTiles], two_[kHidden * kChunkTiles];
};

}  // namespace

void defects_cpu(const uint8_t* image, int64_t h, int64_t w, int64_t row_stride, int channels, const int32_t* xs,
                 int64_t nx, const int32_t* ys, int64_t ny, int64_t size, const float* weights, int threads,
                 float* out) {
  if (nx == 0 || ny == 0) return;
  const Picture picture{image, h, w, row_stride, channels};
  const Net net(weights);
  const Inner inner = inner_of(picture);
  parallel_ranges(ny, threads, [&](int64_t begin, int64_t end) {
    Panel(picture, net, inner, xs, nx, size).run(ys + begin, end - begin, out + begin * nx * kDefectColumns);
  });
}

void defect_features_cpu(const uint8_t* image, int64_t h, int64_t w, int64_t row_stride, int channels, float* out) {
  TileRow t{};
  for (int64_t row = 0; row < h / kTile; ++row)
    for (int64_t begin = 0; begin < w / kTile; begin += kChunkTiles) {
      const int64_t tiles = std::min(kChunkTiles, w / kTile - begin);
      load_tile_row(image + row * kTile * row_stride + begin * kTile * channels, row_stride, channels, tiles * kTile,
                    t);
      measure_tile_row(tiles * kTile, t);
      for (int64_t k = 0; k < tiles; ++k)
        for (int64_t f = 0; f < kFeatures; ++f) out[(row * (w / kTile) + begin + k) * kFeatures + f] = t.features[f][k];
    }
}

}  // namespace srfast
