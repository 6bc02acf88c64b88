#pragma once
// Where the rows of squared error go: one mean for a patch, or means of many windows of an image.
#include <cstdint>
#include <vector>

#include "cpu/score_plan.h"

namespace srfast {

inline double sum_row(const float* values, int64_t w) {
  double sum[8] = {};
  int64_t x = 0;
  for (; x + 8 <= w; x += 8)
    for (int k = 0; k < 8; ++k) sum[k] += static_cast<double>(values[x + k]);
  for (int k = 0; x < w; ++x, ++k) sum[k] += static_cast<double>(values[x]);
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

struct PatchSums {
  double sum[3] = {};
  static void row(void* context, int kind, int64_t, const float* values, int64_t w) {
    static_cast<PatchSums*>(context)->sum[kind] += sum_row(values, w);
  }
};

// Summed-area table in float64, of which only the rows that open or close a window are kept:
// memory is O(w * open window rows), whatever the height of the image.
class WindowMeans {
 public:
  WindowMeans(int64_t w, const int32_t* xs, int64_t nx, const int32_t* ys, int64_t ny, int64_t size, float* out)
      : xs_(xs), nx_(nx), ys_(ys), ny_(ny), size_(size), out_(out), table_(static_cast<size_t>(w + 1), 0.0) {
    int64_t open = 1;
    for (int64_t i = 0, j = 0; i < ny; ++i) {
      while (ys[i] - ys[j] > size) ++j;
      open = open > i - j + 1 ? open : i - j + 1;
    }
    tops_.assign(static_cast<size_t>(open), table_);
    start();
  }

  void add_row(const float* values, int64_t w) {
    double run = 0;
    double* t = table_.data() + 1;
    for (int64_t x = 0; x < w; ++x) {
      run += static_cast<double>(values[x]);
      t[x] += run;
    }
    ++height_;
    while (closed_ < ny_ && ys_[closed_] + size_ == height_) close();
    start();
  }

 private:
  void start() {
    while (opened_ < ny_ && ys_[opened_] == height_) tops_[static_cast<size_t>(opened_++) % tops_.size()] = table_;
  }

  void close() {
    const double* top = tops_[static_cast<size_t>(closed_) % tops_.size()].data();
    const double area = static_cast<double>(size_) * static_cast<double>(size_);
    float* out = out_ + closed_ * nx_;
    for (int64_t j = 0; j < nx_; ++j) {
      const int64_t a = xs_[j], b = xs_[j] + size_;
      const double sum = (table_[b] - top[b]) - (table_[a] - top[a]);
      out[j] = static_cast<float>(sum > 0 ? sum / area : 0.0);
    }
    ++closed_;
  }

  const int32_t* xs_;
  int64_t nx_;
  const int32_t* ys_;
  int64_t ny_, size_;
  float* out_;
  std::vector<double> table_;
  std::vector<std::vector<double>> tops_;
  int64_t height_ = 0, opened_ = 0, closed_ = 0;
};

}  // namespace srfast
