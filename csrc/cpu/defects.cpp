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

constexpr int64_t kHidden = kDefectHidden;
constexpr int64_t kHeads = kDefectHeads + 1;  // with a row of zeros, so that they fill a vector
constexpr int64_t kStored = kHidden + 8;      // of a tile: its hidden values, textured, banded, clipped pixels, ink
constexpr int64_t kMarks = kMarkChannels, kAround = kMarkRows * kMarkColumns, kBeside = kMarkColumns / 2;
static_assert(kMarkHidden == kHidden);  // both first layers share their scratch
constexpr int64_t kChunkTiles = kChunk / kTile;
constexpr float kTextured = 4;  // log2 of the variance from which a tile has something to measure, 16
constexpr int kMargin = 2;      // grey levels a line of a margin may differ by

// A layer of weights that lie behind each other: [outputs, inputs] and then its bias.
struct Layer {
  const float *weight, *bias;
  Layer(const float*& at, int64_t outputs, int64_t inputs) : weight(at), bias(at + outputs * inputs) {
    at = bias + outputs;
  }
};

struct Net {
  const Layer a, b, c, d, first, second, around, third, last, odds;
  std::vector<float> ct, dt, db;  // c and d transposed: [in, out]; the bias of d
  explicit Net(const float* w)
      : a(w, kHidden, kFeatures),
        b(w, kHidden, kHidden),
        c(w, kHidden, kHidden),
        d(w, kDefectHeads, kHidden),
        first(w, kMarkHidden, kFeatures),
        second(w, kMarks, kMarkHidden),
        around(w, kMarks, kAround),
        third(w, kMarks, kMarks),
        last(w, 1, kMarks),
        odds(w, 1, 1),
        ct(kHidden * kHidden),
        dt(kHidden * kHeads),
        db(kHeads) {
    for (int64_t o = 0; o < kHidden; ++o)
      for (int64_t i = 0; i < kHidden; ++i) ct[static_cast<size_t>(i * kHidden + o)] = c.weight[o * kHidden + i];
    for (int64_t o = 0; o < kDefectHeads; ++o) {
      db[static_cast<size_t>(o)] = d.bias[o];
      for (int64_t i = 0; i < kHidden; ++i) dt[static_cast<size_t>(i * kHeads + o)] = d.weight[o * kHidden + i];
    }
  }
};

// out[o][t] = max(0, bias[o] + sum over i of weight[o][i] in[i][t]), t a tile of the chunk.
SRFAST_CLONES void tile_layer(const float* __restrict weight, const float* __restrict bias, int64_t outputs,
                              int64_t inputs, const float* __restrict in, float* __restrict out) {
  for (int64_t o = 0; o < outputs; ++o) {
    float sums[kChunkTiles];
    for (int64_t t = 0; t < kChunkTiles; ++t) sums[t] = bias[o];
    for (int64_t i = 0; i < inputs; ++i) {
      const float k = weight[o * inputs + i];
      for (int64_t t = 0; t < kChunkTiles; ++t) sums[t] += k * in[i * kChunkTiles + t];
    }
    for (int64_t t = 0; t < kChunkTiles; ++t) out[o * kChunkTiles + t] = sums[t] > 0 ? sums[t] : 0;
  }
}

// out[t] = max(0, bias + sum over r and j of weight[r][j] rows[r][t + j]), of one value of each tile.
SRFAST_CLONES void around_layer(const float* __restrict weight, float bias, const float* above, const float* here,
                                const float* below, int64_t tiles, float* __restrict out) {
  static_assert(kMarkRows == 3);
  for (int64_t t = 0; t < tiles; ++t) {
    float sum = bias;
    for (int64_t j = 0; j < kMarkColumns; ++j) sum += weight[j] * above[t + j];
    for (int64_t j = 0; j < kMarkColumns; ++j) sum += weight[kMarkColumns + j] * here[t + j];
    for (int64_t j = 0; j < kMarkColumns; ++j) sum += weight[2 * kMarkColumns + j] * below[t + j];
    out[t] = sum > 0 ? sum : 0;
  }
}

// out[t] = bias + sum over i of weight[i] in[i][t]
SRFAST_CLONES void logits(const float* __restrict weight, float bias, const float* __restrict in,
                          float* __restrict out) {
  for (int64_t t = 0; t < kChunkTiles; ++t) out[t] = bias;
  for (int64_t i = 0; i < kMarks; ++i)
    for (int64_t t = 0; t < kChunkTiles; ++t) out[t] += weight[i] * in[i * kChunkTiles + t];
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

// Whether n pixels, `step` bytes apart, are those of the corner but for kMargin grey levels.
bool alike(const uint8_t* line, int64_t n, int64_t step, const uint8_t* corner, int channels) {
  for (int64_t i = 0; i < n; ++i)
    for (int c = 0; c < channels; ++c)
      if (std::abs(line[i * step + c] - corner[c]) > kMargin) return false;
  return true;
}

Inner inner_of(const Image& p) {
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
  Panel(const Image& p, const Net& net, const Inner& inner, const Grid& at)
      : p_(p),
        net_(net),
        inner_(inner),
        xs_(at.xs),
        nx_(at.nx),
        size_(at.size),
        n_(defect_tiles(at.size)),
        across_(p.w / kTile),
        down_(p.h / kTile),
        padded_((across_ + kChunkTiles - 1) / kChunkTiles * kChunkTiles + 2 * kBeside) {
    ring_.resize(static_cast<size_t>((n_ + 2) * across_ * kStored));
    sums_.resize(static_cast<size_t>(across_ * kStored));
    marks_.resize(static_cast<size_t>((kMarkRows + 1) * kMarks * padded_));
  }

  // The windows whose corners lie at ys[0] <= ... <= ys[ny - 1].
  void run(const int32_t* ys, int64_t ny, float* out) {
    int64_t next = 0, last = -1;
    for (int64_t i = 0; i < ny; ++i) {
      const int64_t first = (ys[i] + kTile - 1) / kTile;
      if (first != last) {
        // one row more above and below, by which the ink of these is told
        next = std::max({next, first - 1, int64_t{0}});
        for (; next < std::min(first + n_ + 1, down_); ++next) measure(next);
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
  float* line(int64_t row) { return ring_.data() + row % (n_ + 2) * across_ * kStored; }

  // Values of a row of tiles, [kMarks, padded_], kBeside zeros at each side; zeros beyond the image.
  float* marks(int64_t row) {
    return marks_.data() + (row < 0 || row >= down_ ? kMarkRows : row % kMarkRows) * kMarks * padded_;
  }

  void measure(int64_t row) {
    TileRow& t = tile_;
    float* to = line(row);
    for (int64_t begin = 0; begin < across_; begin += kChunkTiles) {
      const int64_t tiles = std::min(kChunkTiles, across_ - begin);
      load_tile_row(p_, row * kTile, begin * kTile, tiles * kTile, t);
      measure_tile_row(tiles * kTile, t);
      tile_layer(net_.first.weight, net_.first.bias, kMarkHidden, kFeatures, t.features[0], one_);
      tile_layer(net_.second.weight, net_.second.bias, kMarks, kMarkHidden, one_, two_);
      for (int64_t i = 0; i < kMarks; ++i)
        std::copy_n(two_ + i * kChunkTiles, tiles, marks(row) + i * padded_ + kBeside + begin);
      tile_layer(net_.a.weight, net_.a.bias, kHidden, kFeatures, t.features[0], one_);
      tile_layer(net_.b.weight, net_.b.bias, kHidden, kHidden, one_, two_);
      for (int64_t k = 0; k < tiles; ++k) {
        float* stored = to + (begin + k) * kStored;
        for (int64_t i = 0; i < kHidden; ++i) stored[i] = two_[i * kChunkTiles + k];
        stored[kHidden] = t.features[12][k] >= kTextured ? 1.0f : 0.0f;
        stored[kHidden + 1] = static_cast<float>(t.banded[k]);
        stored[kHidden + 2] = static_cast<float>(t.clipped[k]);
        std::fill(stored + kHidden + 3, stored + kStored, 0.0f);
      }
    }
    if (row > 0) tell(row - 1);
    if (row == down_ - 1) tell(row);
  }

  // How surely the tiles of a row have ink, once the row below it was measured.
  void tell(int64_t row) {
    float *above = marks(row - 1), *here = marks(row), *below = marks(row + 1), *to = line(row) + kHidden + 3;
    for (int64_t begin = 0; begin < across_; begin += kChunkTiles) {
      for (int64_t i = 0; i < kMarks; ++i) {
        const int64_t at = i * padded_ + begin;
        around_layer(net_.around.weight + i * kAround, net_.around.bias[i], above + at, here + at, below + at,
                     kChunkTiles, one_ + i * kChunkTiles);
      }
      tile_layer(net_.third.weight, net_.third.bias, kMarks, kMarks, one_, two_);
      logits(net_.last.weight, net_.last.bias[0], two_, one_);
      for (int64_t k = 0; k < std::min(kChunkTiles, across_ - begin); ++k)
        to[(begin + k) * kStored] = 1 / (1 + std::exp(-one_[k]));
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
      const float ink = sums[kHidden + 3] + kLeastMarked;
      const float textured = sums[kHidden] / tiles, clipped = sums[kHidden + 2] / (tiles * kTile * kTile);
      for (float& s : sums) s /= tiles;
      window_layers(sums, net_.ct.data(), net_.c.bias, net_.dt.data(), net_.db.data(), heads);
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
      out[kHalo] = seen && clipped < kMostLetters ? 100 / (1 + std::exp(-heads[6])) : none;
      out[kOverlay] = 100 / (1 + std::exp(-(net_.odds.weight[0] * std::log(ink) + net_.odds.bias[0])));
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

  const Image p_;
  const Net& net_;
  const Inner inner_;
  const int32_t* xs_;
  const int64_t nx_, size_, n_, across_, down_, padded_;
  std::vector<float> ring_;   // [n + 2, across, kStored]: the rows of tiles that the windows at work look at
  std::vector<float> sums_;   // [across, kStored]: of those of a window
  std::vector<float> marks_;  // [kMarkRows + 1, kMarks, padded]: of the last rows of tiles, and zeros
  TileRow tile_{};
  alignas(64) float one_[kHidden * kChunkTiles], two_[kHidden * kChunkTiles];
};

}  // namespace

void defects_cpu(const Image& image, const Grid& windows, const float* weights, int threads, float* out) {
  const Net net(weights);
  const Inner inner = inner_of(image);
  window_ranges(windows, threads, [&](int64_t begin, int64_t end) {
    Panel(image, net, inner, windows).run(windows.ys + begin, end - begin, out + begin * windows.nx * kDefectColumns);
  });
}

void defect_features_cpu(const Image& image, float* out) {
  TileRow t{};
  const int64_t across = image.w / kTile;
  for (int64_t row = 0; row < image.h / kTile; ++row)
    for (int64_t begin = 0; begin < across; begin += kChunkTiles) {
      const int64_t tiles = std::min(kChunkTiles, across - begin);
      load_tile_row(image, row * kTile, begin * kTile, tiles * kTile, t);
      measure_tile_row(tiles * kTile, t);
      for (int64_t k = 0; k < tiles; ++k)
        for (int64_t f = 0; f < kFeatures; ++f) out[(row * across + begin + k) * kFeatures + f] = t.features[f][k];
    }
}

}  // namespace srfast
