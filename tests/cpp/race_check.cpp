// Runs every kernel body on random inputs of odd sizes; built with a sanitizer (`make sanitize`), it reports data races
// between the threads of a block and accesses outside shared or global memory. Exit code 1: a result was not written.
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "kernels.h"

namespace {

constexpr int kThreads = 64;
std::mt19937 generator(1);

std::vector<uint8_t> random_bytes(int64_t count) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(generator());
  return bytes;
}

bool check_degrade(int64_t n, int64_t h, int64_t w, int channels, int scale, int boundary) {
  const auto patches = random_bytes(n * h * w * channels);
  std::vector<uint8_t> y(static_cast<size_t>(n * h * w)), lr(y.size() / static_cast<size_t>(scale * scale));
  std::vector<float> up(y.size(), std::numeric_limits<float>::quiet_NaN());
  std::vector<double> sums(static_cast<size_t>(2 * n * host_degrade_tiles(h, w, scale)));
  host_degrade(patches.data(), nullptr, nullptr, n, h, w, channels, scale, boundary, 1, y.data(), lr.data(), up.data(),
               sums.data(), kThreads);
  for (float v : up)
    if (!std::isfinite(v)) return false;
  return true;
}

bool check_mse(int64_t n, int64_t length) {
  std::vector<float> a(static_cast<size_t>(n * length)), b(a.size());
  for (float& v : a) v = static_cast<float>(generator() % 256);
  for (float& v : b) v = static_cast<float>(generator() % 256);
  std::vector<float> out(static_cast<size_t>(n), std::numeric_limits<float>::quiet_NaN());
  host_per_sample_mse(a.data(), 1, b.data(), 1, n, length, out.data(), kThreads);
  for (float v : out)
    if (!std::isfinite(v)) return false;
  return true;
}

}  // namespace

int main() {
  bool written = true;
  for (int scale = 2; scale <= 4; ++scale)
    for (int boundary = 0; boundary < 2; ++boundary)
      written &= check_degrade(2, 5 * scale, 9 * scale, 3, scale, boundary) &&
                 check_degrade(1, 4 * scale, 12 * scale, 1, scale, boundary);
  written &= check_degrade(1, 132, 260, 3, 2, 0);
  written &= check_mse(3, 4 * 77) && check_mse(2, 131) && check_mse(1, (1 << 15) + 4);
  if (!written) std::puts("a kernel left part of its output unwritten");
  return written ? 0 : 1;
}
