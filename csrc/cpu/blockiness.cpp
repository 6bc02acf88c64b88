#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/api.h"
#include "core/luma.h"
#include "cpu/clones.h"
#include "cpu/threads.h"
#include "cpu/windows.h"

namespace srfast {

namespace {

constexpr int64_t kGrid = 8;

SRFAST_CLONES void take_luma(const uint8_t* rgb, int64_t w, uint8_t* y) { luma_row(rgb, w, y); }

// sums[i] += |a[i] - b[i]|
SRFAST_CLONES void add_differences(const uint8_t* a, const uint8_t* b, int64_t n, uint32_t* __restrict sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] += static_cast<uint32_t>(a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
}

// Steps of the grid between neighbours of [begin, begin + size): the multiples of 8 in (begin, begin + size).
int64_t steps(int64_t begin, int64_t size) { return (begin + size - 1) / kGrid - begin / kGrid; }

// Sums of the differences down each column, of which the rows that open a window are kept. They are taken modulo 2^32,
// which their difference over a window of less than 2^24 rows is not touched by.
class Columns {
 public:
  Columns(const Image& image, const Grid& at)
      : image_(image), xs_(at.xs), nx_(at.nx), size_(at.size), w_(xs_[nx_ - 1] + size_) {}

  // The windows whose corners lie at ys[0] <= ... <= ys[ny - 1].
  void run(const int32_t* ys, int64_t ny, float* out) {
    sums_.assign(static_cast<size_t>(3 * w_), 0);
    tops_.assign(most_open(ys, ny, size_), sums_);
    for (auto& s : prefix_) s.assign(static_cast<size_t>(w_ + 1), 0);
    for (auto& line : lines_) line.assign(static_cast<size_t>(w_), 0);
    int64_t opened = 0, closed = 0;
    for (int64_t y = ys[0]; closed < ny; ++y) {
      const uint8_t* line = row(y);
      // The difference to the row above belongs to the windows that are open already.
      if (y > ys[0]) add_differences(line, above_, w_, sums_.data() + (y % kGrid == 0 ? 2 : 1) * w_);
      for (; opened < ny && ys[opened] == y; ++opened) tops_[static_cast<size_t>(opened) % tops_.size()] = sums_;
      add_differences(line, line + 1, w_ - 1, sums_.data());
      above_ = line;
      for (; closed < ny && ys[closed] + size_ == y + 1; ++closed)
        close(tops_[static_cast<size_t>(closed) % tops_.size()].data(), y + 1 - size_, out + closed * nx_);
    }
  }

 private:
  const uint8_t* row(int64_t y) {
    const uint8_t* pixels = image_.at(y, 0);
    if (image_.channels == 1) return pixels;
    uint8_t* line = lines_[y % 2].data();
    take_luma(pixels, w_, line);
    return line;
  }

  void close(const uint32_t* top, int64_t y, float* out) {
    const uint32_t* now = sums_.data();
    int64_t across[2] = {0, 0}, down[2] = {0, 0};
    for (int64_t x = 0; x < w_; ++x) {
      across[(x + 1) % kGrid == 0] += static_cast<uint32_t>(now[x] - top[x]);
      for (int64_t grid = 0; grid < 2; ++grid) {
        down[grid] += static_cast<uint32_t>(now[(1 + grid) * w_ + x] - top[(1 + grid) * w_ + x]);
        prefix_[grid][static_cast<size_t>(x + 1)] = across[grid];
        prefix_[2 + grid][static_cast<size_t>(x + 1)] = down[grid];
      }
    }
    for (int64_t j = 0; j < nx_; ++j) {
      const int64_t x = xs_[j], columns = steps(x, size_), rows = steps(y, size_);
      auto mean = [&](int map, int64_t width, int64_t lines) {
        const int64_t* p = prefix_[map].data() + x;
        return static_cast<double>(p[width] - p[0]) / static_cast<double>(lines * size_);
      };
      const double a = 0.5 * (mean(0, size_ - 1, size_ - 1 - columns) + mean(2, size_, size_ - 1 - rows));
      const double b = 0.5 * (mean(1, size_ - 1, columns) + mean(3, size_, rows));
      out[j] = static_cast<float>(100 * std::max(b - a, 0.0) / (b + a + 1));
    }
  }

  const Image image_;
  const int32_t* xs_;
  int64_t nx_, size_, w_;
  std::vector<uint32_t> sums_;               // [3, w]: across columns; down, off the grid and on it
  std::vector<std::vector<uint32_t>> tops_;  // sums_ at the tops of the open windows
  std::vector<int64_t> prefix_[4];           // across off and on the grid, down off and on it
  std::vector<uint8_t> lines_[2];            // Y of this row and the one above
  const uint8_t* above_ = nullptr;
};

}  // namespace

void blockiness_cpu(const Image& image, const Grid& windows, int threads, float* out) {
  window_ranges(windows, threads, [&](int64_t begin, int64_t end) {
    Columns(image, windows).run(windows.ys + begin, end - begin, out + begin * windows.nx);
  });
}

}  // namespace srfast
