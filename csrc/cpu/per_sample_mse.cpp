#include "core/api.h"
#include "cpu/clones.h"
#include "cpu/threads.h"

namespace srfast {

namespace {

// Sixteen partial sums in a fixed order: the result does not depend on the number of threads.
SRFAST_CLONES double squared_distance(const float* __restrict x, const float* __restrict y, int64_t length) {
  double sum[16] = {};
  int64_t j = 0;
  for (; j + 16 <= length; j += 16)
    for (int k = 0; k < 16; ++k) {
      const double d = static_cast<double>(x[j + k]) - static_cast<double>(y[j + k]);
      sum[k] += d * d;
    }
  for (int k = 0; j < length; ++j, ++k) {
    const double d = static_cast<double>(x[j]) - static_cast<double>(y[j]);
    sum[k] += d * d;
  }
  double total = 0;
  for (double s : sum) total += s;
  return total;
}

}  // namespace

void per_sample_mse_cpu(const float* a, const float* b, int64_t n, int64_t length, int threads, float* out) {
  parallel_ranges(n, worth(threads, n * length, 1 << 16), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      out[i] =
          static_cast<float>(squared_distance(a + i * length, b + i * length, length) / static_cast<double>(length));
  });
}

}  // namespace srfast
