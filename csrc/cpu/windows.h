#pragma once
// Means of many windows of a map that arrives row by row.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/api.h"

namespace srfast {

// Most windows of `size` rows, at ys[0] <= ... <= ys[ny - 1], that one row lies in.
inline size_t most_open(const int32_t* ys, int64_t ny, int64_t size) {
  int64_t most = 1;
  for (int64_t i = 0, j = 0; i < ny; ++i) {
    while (ys[i] - ys[j] >= size) ++j;
    most = std::max(most, i - j + 1);
  }
  return static_cast<size_t>(most);
}

// Summed-area table in float64, of which only the rows that open or close a window are kept: memory is
// O(w * open window rows), whatever the height of the map. Rows are added top to bottom, each from left to right, so
// that the sums depend on nothing but the map.
class WindowMeans {
 public:
  WindowMeans(int64_t w, const Grid& windows, float* out)
      : at_(windows), out_(out), table_(static_cast<size_t>(w + 1), 0.0) {
    tops_.assign(most_open(at_.ys, at_.ny, at_.size), table_);
    start();
  }

  // The next n rows, `stride` floats apart.
  void add_rows(const float* values, int64_t stride, int64_t n) {
    while (n > 0 && closed_ < at_.ny) {
      int64_t until = at_.ys[closed_] + at_.size;
      if (opened_ < at_.ny) until = std::min<int64_t>(until, at_.ys[opened_]);
      const int64_t rows = std::min(n, until - height_);
      int64_t done = 0;
      for (; done + 4 <= rows; done += 4) add<4>(values + done * stride, stride);
      for (; done + 2 <= rows; done += 2) add<2>(values + done * stride, stride);
      for (; done < rows; ++done) add<1>(values + done * stride, stride);
      values += rows * stride;
      n -= rows;
      height_ += rows;
      while (closed_ < at_.ny && at_.ys[closed_] + at_.size == height_) close();
      start();
    }
  }

 private:
  // N rows at a time: their running sums wait for one another less.
  template <int N>
  void add(const float* values, int64_t stride) {
    double run[N] = {};
    double* t = table_.data() + 1;
    const int64_t w = static_cast<int64_t>(table_.size()) - 1;
    for (int64_t x = 0; x < w; ++x) {
      double sum = t[x];
      for (int i = 0; i < N; ++i) {
        run[i] += static_cast<double>(values[i * stride + x]);
        sum += run[i];
      }
      t[x] = sum;
    }
  }

  void start() {
    while (opened_ < at_.ny && at_.ys[opened_] == height_)
      tops_[static_cast<size_t>(opened_++) % tops_.size()] = table_;
  }

  void close() {
    const double* top = tops_[static_cast<size_t>(closed_) % tops_.size()].data();
    const double area = static_cast<double>(at_.size) * static_cast<double>(at_.size);
    float* out = out_ + closed_ * at_.nx;
    for (int64_t j = 0; j < at_.nx; ++j) {
      const int64_t a = at_.xs[j], b = at_.xs[j] + at_.size;
      const double sum = (table_[b] - top[b]) - (table_[a] - top[a]);
      out[j] = static_cast<float>(sum < 0 ? 0.0 : sum / area);  // NaN stays
    }
    ++closed_;
  }

  const Grid at_;
  float* out_;
  std::vector<double> table_;
  std::vector<std::vector<double>> tops_;
  int64_t height_ = 0, opened_ = 0, closed_ = 0;
};

}  // namespace srfast
