#include <algorithm>
#include <bit>
#include <vector>

#include "core/api.h"

namespace srfast {

namespace {

// One image's squares in a grid of cells; a square that overlaps another by more than iou lies in its cell or one
// beside it: w * h > iou * max(s1, s2)^2 and h <= min(s1, s2) give w > iou * max(s1, s2), so the corners are less than
// (1 - iou) * max(s1, s2) apart; of two levels, the corners of squares that overlap at all are less than max(s1, s2)
// apart.
class Cells {
 public:
  Cells(const int32_t* x, const int32_t* y, const int32_t* size, const int32_t* level, double iou)
      : x_(x), y_(y), size_(size), level_(level), iou_(iou) {}

  // keep[rows[i]] = 1 for the rows that overlap no earlier kept one.
  void run(const int64_t* rows, int64_t n, uint8_t* keep) {
    int64_t x0 = x_[rows[0]], x1 = x0, y0 = y_[rows[0]], y1 = y0, largest = 1;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t r = rows[i];
      x0 = std::min<int64_t>(x0, x_[r]), x1 = std::max<int64_t>(x1, x_[r]);
      y0 = std::min<int64_t>(y0, y_[r]), y1 = std::max<int64_t>(y1, y_[r]);
      largest = std::max<int64_t>(largest, size_[r]);
    }
    const int64_t cell = static_cast<int64_t>((level_ ? 1 : 1 - iou_) * static_cast<double>(largest)) + 1;
    const double cells = (static_cast<double>(x1 - x0) / cell + 1) * (static_cast<double>(y1 - y0) / cell + 1);
    const int64_t columns = (x1 - x0) / cell + 1, lines = (y1 - y0) / cell + 1;
    // No more lists than a few times the rows, however far apart they lie: then cells share lists.
    const uint64_t most = std::bit_ceil(4 * static_cast<uint64_t>(n) + 64);
    const bool shared = cells > static_cast<double>(most);
    const auto list = [=](int64_t u, int64_t v) {
      if (!shared) return static_cast<uint64_t>(v * columns + u);
      uint64_t mixed = static_cast<uint64_t>(v) * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(u);
      mixed = (mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9u;
      return (mixed ^ (mixed >> 32)) & (most - 1);
    };
    head_.assign(shared ? most : static_cast<uint64_t>(columns * lines), -1);
    next_.resize(n);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t r = rows[i], cx = (x_[r] - x0) / cell, cy = (y_[r] - y0) / cell;
      bool free = true;
      for (int64_t v = std::max<int64_t>(cy - 1, 0); free && v <= std::min(cy + 1, lines - 1); ++v)
        for (int64_t u = std::max<int64_t>(cx - 1, 0); free && u <= std::min(cx + 1, columns - 1); ++u)
          for (int64_t k = head_[list(u, v)]; free && k >= 0; k = next_[k]) free = !overlap(r, rows[k]);
      keep[r] = free;
      if (free) {
        next_[i] = head_[list(cx, cy)];
        head_[list(cx, cy)] = i;
      }
    }
  }

 private:
  bool overlap(int64_t a, int64_t b) const {
    const int64_t sa = size_[a], sb = size_[b];
    const int64_t w = std::min<int64_t>(x_[a] + sa, x_[b] + sb) - std::max<int64_t>(x_[a], x_[b]);
    const int64_t h = std::min<int64_t>(y_[a] + sa, y_[b] + sb) - std::max<int64_t>(y_[a], y_[b]);
    if (w <= 0 || h <= 0) return false;
    const double both = static_cast<double>(w * h);
    if (level_ && level_[a] != level_[b]) {
      const double least = static_cast<double>(std::min(sa, sb));
      if (2 * both > least * least) return true;
    }
    return both > iou_ * (static_cast<double>(sa * sa) + static_cast<double>(sb * sb) - both);
  }

  const int32_t *x_, *y_, *size_, *level_;
  double iou_;
  std::vector<int64_t> head_, next_;
};

}  // namespace

void suppress_cpu(const int32_t* image, const int32_t* x, const int32_t* y, const int32_t* size, int64_t n, double iou,
                  uint8_t* keep, const int32_t* level) {
  if (n == 0) return;
  std::vector<int64_t> start(static_cast<size_t>(*std::max_element(image, image + n)) + 2, 0);
  for (int64_t i = 0; i < n; ++i) ++start[image[i] + 1];
  for (size_t k = 1; k < start.size(); ++k) start[k] += start[k - 1];
  std::vector<int64_t> rows(n), at(start.begin(), start.end() - 1);
  for (int64_t i = 0; i < n; ++i) rows[at[image[i]]++] = i;
  Cells cells(x, y, size, level, iou);
  for (size_t k = 0; k + 1 < start.size(); ++k)
    if (start[k + 1] > start[k]) cells.run(rows.data() + start[k], start[k + 1] - start[k], keep);
}

}  // namespace srfast
