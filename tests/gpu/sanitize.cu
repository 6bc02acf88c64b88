// Launches every CUDA kernel on random inputs of small and odd sizes, for compute-sanitizer. Exit code 1: a CUDA call
// failed or a result was not written.
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "cuda/launch.h"

namespace {

std::mt19937 generator(1);
bool failed = false;

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::printf("%s: %s\n", what, cudaGetErrorString(status));
  failed = true;
}

template <class T>
struct Device {
  T* data = nullptr;
  size_t count;
  explicit Device(const std::vector<T>& host) : count(host.size()) {
    check(cudaMalloc(&data, count * sizeof(T)), "cudaMalloc");
    check(cudaMemcpy(data, host.data(), count * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  ~Device() { cudaFree(data); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  std::vector<T> read() const {
    std::vector<T> host(count);
    check(cudaMemcpy(host.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost), "kernel");
    return host;
  }
};

std::vector<uint8_t> random_bytes(size_t count) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(generator());
  return bytes;
}

void expect_finite(const std::vector<float>& values, const char* what) {
  for (float v : values)
    if (!std::isfinite(v)) {
      std::printf("%s: a value was not written\n", what);
      failed = true;
      return;
    }
}

void degrade(int64_t n, int64_t h, int64_t w, int channels, int scale, int boundary) {
  const size_t pixels = static_cast<size_t>(n * h * w);
  const Device<uint8_t> patches{random_bytes(pixels * static_cast<size_t>(channels))};
  const size_t small = pixels / static_cast<size_t>(scale * scale);
  const Device<uint8_t> y{std::vector<uint8_t>(pixels)}, lr{std::vector<uint8_t>(small)};
  const Device<float> up{std::vector<float>(pixels, std::numeric_limits<float>::quiet_NaN())};
  const Device<double> sums{std::vector<double>(static_cast<size_t>(2 * n * srfast::degrade_tiles(h, w, scale)))};
  const srfast::Windows windows{patches.data, nullptr, nullptr, n, h, w, channels};
  check(
      srfast::launch_degrade(windows, scale, boundary, srfast::kFloat32, y.data, lr.data, up.data, sums.data, nullptr),
      "launch_degrade");
  expect_finite(up.read(), "degrade");
}

void mse(int64_t n, int64_t length) {
  std::vector<float> values(static_cast<size_t>(n * length));
  for (float& v : values) v = static_cast<float>(generator() % 256);
  const Device<float> a(values);
  const Device<uint8_t> b(random_bytes(values.size()));
  const Device<double> scratch{std::vector<double>(static_cast<size_t>(srfast::mse_scratch(n, length)))};
  const Device<float> out{std::vector<float>(static_cast<size_t>(n), std::numeric_limits<float>::quiet_NaN())};
  check(srfast::launch_per_sample_mse(a.data, srfast::kFloat32, b.data, srfast::kUInt8, n, length, scratch.data,
                                      out.data, nullptr),
        "launch_per_sample_mse");
  expect_finite(out.read(), "per_sample_mse");
}

}  // namespace

int main() {
  for (int scale = 2; scale <= 4; ++scale)
    for (int boundary = 0; boundary < 2; ++boundary) {
      degrade(3, 5 * scale, 7 * scale, 3, scale, boundary);
      degrade(2, 12 * scale, 8 * scale, 1, scale, boundary);
      degrade(1, 12 * 13, 12 * 25, 3, scale, boundary);
    }
  mse(3, 4 * 77);
  mse(2, 131);
  mse(1, (1 << 15) + 5);
  return failed ? 1 : 0;
}
